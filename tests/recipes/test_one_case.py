"""What is done with one case: read, its facts taken, prepared; and what is found again in the store."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, GridMismatch
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data import sources
from segtrain.data.cases import find_cases
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.data.read import read_labels, read_volume
from segtrain.data.store import load
from segtrain.recipes import one_case
from segtrain.recipes.one_case import (
    Fingerprinting,
    Preparation,
    make_fingerprint,
    make_prepared,
    read_case,
    recall_fingerprint,
    recall_prepared,
)
from tests.data.dicom_phantoms import write_series
from tests.data.rtstruct_phantoms import outline, write_rtstruct
from tests.faults.table import fault
from tests.phantoms import grid, scan
from tests.plans import small_plan
from tests.recipes.projects import SHAPE, write_case, write_study
from tests.recipes.projects import load as load_config

TASK = Task(labels={"background": 0, "organ": 1})


@pytest.fixture
def data(tmp_path) -> Path:
    write_study(tmp_path)
    return tmp_path


@pytest.fixture
def case(data):
    return next(case for case in find_cases(load_config(data).config.data) if case.id == "P1_a")


@pytest.fixture
def settled(monkeypatch):
    """Files that were written a moment ago are trusted, as if that were long ago."""
    if not sources.HAS_CHANGE_TIME:
        pytest.skip("nothing is remembered on Windows")
    monkeypatch.setattr(sources, "SETTLED_SECONDS", -1.0)


def facts(case, store=None, samples=50) -> Fingerprinting:
    return Fingerprinting(case, ("T1",), TASK, samples, store)


def shift_label(case, voxels):
    """Move a mask by a share of a voxel along the first axis, its numbers unchanged."""
    labels = read_labels(case.label)
    step = np.eye(4)
    step[0, 3] = voxels
    write_nifti(case.label.path, LabelMap(labels.array, Grid(labels.grid.shape, labels.grid.affine @ step)))


def test_a_mask_a_little_beside_its_image_is_used_on_the_grid_of_the_image_and_noted(case):
    shift_label(case, 0.2)
    image, labels, note = read_case(case, ("T1",), TASK)
    assert labels.grid is image.grid
    assert "P1_a" in note
    assert make_fingerprint(facts(case)).note == note


def test_a_scan_without_a_mask_is_read_all_the_same(case):
    image, labels, note = read_case(replace(case, label=None), ("T1",), TASK)
    assert image.array.shape == (1, *SHAPE)
    assert (labels, note) == (None, None)
    assert make_fingerprint(facts(replace(case, label=None))).value is None


def test_a_fault_names_its_case_once(case):
    shift_label(case, 2)
    with pytest.raises(DataError) as error:
        read_case(case, ("T1",), TASK)
    (problem,) = error.value.problems
    assert problem.where == f"case P1_a, {case.label}"
    assert problem.cases == ("P1_a",)
    for worked in (make_fingerprint(facts(case)), make_prepared(Preparation(case, small_plan(), TASK, Path()))):
        assert worked.value is None
        assert worked.problems == (problem,)


@fault("F2", "a scan that has one value everywhere", then="0, the case, the channel and the value are told")
def test_a_channel_that_shows_nothing_is_told(case):
    volume = read_volume(case.images)
    array = np.concatenate([volume.array, np.full_like(volume.array, 7)])
    write_nifti_image(case.images[0].path, Volume(array, volume.grid))
    assert read_case(case, ("CT", "PET"), TASK)[2] == f"{case.id}: PET is 7 in every voxel"


@fault("F2", "a scan and its mask are both damaged", then="3, both in one list")
def test_what_is_wrong_with_a_scan_and_with_its_mask_is_told_at_once(case):
    """Of every channel, too: else each is found out after the one before it was mended."""
    second = case.images[0].path.with_name("second.nii.gz")
    for path in (case.images[0].path, second, case.label.path):
        path.write_bytes(b"no scan")
    with pytest.raises(DataError) as refused:
        read_case(replace(case, images=(*case.images, ScanSource(second))), ("CT", "PET"), TASK)
    files = [case.images[0].path.name, second.name, case.label.path.name]
    found = refused.value.problems
    assert [name in problem.where for name, problem in zip(files, found, strict=True)] == [True] * 3
    assert {problem.cases for problem in found} == {(case.id,)}


def test_a_mask_that_was_drawn_on_a_scan_is_no_fault_of_its_own(case, tmp_path):
    """Without the scan nobody knows what an RTSTRUCT is."""
    drawing = write_rtstruct(tmp_path / "mask.dcm", {"organ": None})
    drawn = replace(case, images=(ScanSource(tmp_path / "gone.nii.gz"),), label=ScanSource(drawing))
    with pytest.raises(DataError) as refused:
        read_case(drawn, ("CT",), TASK)
    assert len(refused.value.problems) == 1


def test_a_fourth_axis_is_channels_and_refused_where_one_is_named(case):
    write_nifti_image(case.images[0].path, scan(grid(SHAPE), channels=2)[0])
    (problem,) = make_fingerprint(facts(case)).problems
    assert "2 channels, not 1 (T1)" in problem.what


def test_a_scan_that_is_gone_is_a_problem_of_the_work_and_not_of_the_look_into_the_store(case, tmp_path):
    case.images[0].path.unlink()
    for recall, make, job in (
        (recall_fingerprint, make_fingerprint, facts(case, tmp_path / "store")),
        (recall_prepared, make_prepared, Preparation(case, small_plan(), TASK, tmp_path / "store")),
    ):
        assert recall(job) is None
        (problem,) = make(job).problems
        assert problem.where.startswith("case P1_a")


def test_facts_are_found_again_with_their_note_and_only_for_the_same_question(case, tmp_path, settled, monkeypatch):
    shift_label(case, 0.2)
    job = facts(case, tmp_path / "store")
    assert recall_fingerprint(job) is None
    made = make_fingerprint(job)
    assert recall_fingerprint(facts(case, tmp_path / "store", samples=7)) is None
    assert recall_fingerprint(facts(case)) is None
    monkeypatch.setattr(one_case, "read_case", None)
    for again in (recall_fingerprint(job), make_fingerprint(job)):
        assert np.array_equal(again.value.foreground_samples, made.value.foreground_samples)
        assert again.note == made.note
        assert again.seconds is None
    assert made.seconds > 0
    assert made.value.foreground_samples.shape == (1, 50)


def test_a_prepared_case_is_found_again(case, tmp_path, settled, monkeypatch):
    job = Preparation(case, small_plan(), TASK, tmp_path / "store")
    assert recall_prepared(job) is None
    made = make_prepared(job)
    assert load(made.value).case == "P1_a"
    monkeypatch.setattr(one_case, "read_case", None)
    for again in (recall_prepared(job), make_prepared(job)):
        assert (again.value, again.seconds) == (made.value, None)


def test_a_file_just_written_is_not_recalled_but_found_by_its_content(case, tmp_path, monkeypatch):
    job = Preparation(case, small_plan(), TASK, tmp_path / "store")
    made = make_prepared(job)
    assert recall_prepared(job) is None
    monkeypatch.setattr(one_case, "read_case", None)
    assert make_prepared(job).value == made.value


def test_a_scan_that_changes_while_it_is_read_is_not_stored_under_the_name_of_the_old_one(case, tmp_path, monkeypatch):
    def changing(*arguments):
        found = read_case(*arguments)
        write_case(case.images[0].path.parents[1], "P1_a", seed=99)
        return found

    monkeypatch.setattr(one_case, "read_case", changing)
    for made in (
        make_prepared(Preparation(case, small_plan(), TASK, tmp_path / "store")),
        make_fingerprint(facts(case, tmp_path / "store")),
    ):
        (problem,) = made.problems
        assert "changed while it was read" in problem.what
    assert list((tmp_path / "store").rglob("*.safetensors")) == []


def test_a_worker_loads_neither_torch_nor_the_config():
    command = "import sys, segtrain.recipes.one_case; print({'torch', 'yaml', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_mask_that_was_drawn_on_the_scan_is_read_on_its_grid(data, case):
    """With a note that names the case, and what was said of image and mask."""
    on = read_volume(case.images).grid
    square = [[2.5, 2.5], [6.5, 2.5], [6.5, 6.5], [2.5, 6.5]]
    path = write_rtstruct(data / "rt.dcm", {"Organ": [outline(on, square, 4)], "Couch": []})
    image, labels, note = read_case(replace(case, label=ScanSource(path)), ("T1",), TASK)
    assert labels.grid is image.grid
    assert (labels.array == 1).sum(axis=(0, 1)).tolist() == [0] * 4 + [16] + [0] * 7
    assert note == "P1_a: left out, because no label has its name: Couch"


def test_a_mask_of_another_frame_of_reference_is_a_fault_of_its_case(tmp_path):
    write_series(tmp_path / "ct")
    space = read_volume([ScanSource(tmp_path / "ct")]).grid
    path = write_rtstruct(tmp_path / "rt.dcm", {"Organ": [outline(space, [[1, 1], [3, 1], [3, 4]], 1)]})
    drawn = Case("P1", "P1", (ScanSource(tmp_path / "ct"),), ScanSource(path))
    assert read_case(drawn, ("image",), TASK)[1].array.any()
    mask = dcmread(path)
    mask.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.99"
    mask.save_as(path)
    with pytest.raises(GridMismatch, match=r"another frame of reference[\s\S]*P1"):
        read_case(drawn, ("image",), TASK)


def test_a_mask_whose_names_do_not_match_names_its_case(data, case):
    path = write_rtstruct(data / "rt.dcm", {"liver": []})
    with pytest.raises(DataError, match=r"case P1_a, .*rt\.dcm[\s\S]*liver; the task has organ"):
        read_case(replace(case, label=ScanSource(path)), ("T1",), TASK)
