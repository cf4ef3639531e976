"""Scans are read once, faults are gathered, and what was prepared before is not prepared again."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.errors import DataError
from segtrain.core.events import CasePrepared, Note
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.cases import find_cases, find_scans
from segtrain.data.nifti import write_nifti, write_nifti_image
from segtrain.data.read import read_labels
from segtrain.recipes.dataset import fingerprint_all, prepare_all, read_case
from tests.phantoms import grid, scan
from tests.plans import small_plan
from tests.recipes.projects import SHAPE, load, result_of, write_case, write_study

TASK = Task(labels={"background": 0, "organ": 1})


@pytest.fixture
def data(tmp_path):
    """A study that a test may change."""
    write_study(tmp_path)
    return tmp_path


def cases_of(root):
    return find_cases(load(root).config.data)


def shift_label(root, case, voxels):
    """Move a mask by a share of a voxel along the first axis, its numbers unchanged."""
    source = next(c.label for c in cases_of(root) if c.id == case)
    labels = read_labels(source)
    step = np.eye(4)
    step[0, 3] = voxels
    write_nifti(source.path, LabelMap(labels.array, Grid(labels.grid.shape, labels.grid.affine @ step)))


def test_the_faults_of_all_cases_are_in_one_error(data):
    write_case(data, "P0_b", label=5)
    (data / "images" / "P1_a.nii.gz").write_bytes(b"no scan")
    shift_label(data, "P3_a", 2)
    with pytest.raises(DataError) as error:
        result_of(fingerprint_all(cases_of(data), ("T1",), TASK))
    places = [problem.where.partition(",")[0] for problem in error.value.problems]
    assert places == ["case P0_b", "case P1_a", "case P3_a"]


def test_a_scan_with_a_fourth_axis_is_refused_where_one_channel_is_named(data):
    image, _ = scan(grid(SHAPE), channels=2)
    write_nifti_image(data / "images" / "P2_a.nii.gz", image)
    with pytest.raises(DataError, match=r"2 channels, not 1 \(T1\)[\s\S]*case P2_a"):
        result_of(fingerprint_all(cases_of(data), ("T1",), TASK))


def test_every_case_has_a_record(data):
    cases = cases_of(data)
    found = result_of(fingerprint_all(cases[::-1], ("T1",), TASK))
    assert sorted(found) == [case.id for case in cases]
    assert all(record.case == case for case, record in found.items())


def test_a_mask_a_little_beside_its_image_is_used_on_the_grid_of_the_image_and_noted(data):
    shift_label(data, "P1_a", 0.2)
    case = next(c for c in cases_of(data) if c.id == "P1_a")
    image, labels, note = read_case(case, ("T1",), TASK)
    assert labels.grid is image.grid
    assert "P1_a" in note
    assert [event for event in fingerprint_all([case], ("T1",), TASK) if isinstance(event, Note)] == [Note(note)]


def test_a_scan_without_a_mask_is_read_all_the_same(data):
    settings = load(data).config.data.model_copy(update={"labels": None})
    image, labels, note = read_case(find_scans(settings)[0], ("T1",), TASK)
    assert image.array.shape == (1, 16, 16, 12)
    assert (labels, note) == (None, None)


def test_a_scan_without_a_mask_cannot_train(data):
    settings = load(data).config.data.model_copy(update={"labels": None})
    with pytest.raises(DataError, match=r"without a label cannot train[\s\S]*P0_a"):
        result_of(prepare_all(find_scans(settings), small_plan(), TASK, data / "store"))


def test_every_case_is_told_when_it_is_there(data):
    cases = cases_of(data)
    told = list(prepare_all(cases, small_plan(), TASK, data / "store"))
    assert told == [CasePrepared(case.id, number, 5) for number, case in enumerate(cases, start=1)]


def prepared(root, plan=None):
    """Case -> its folder, and the time of its prepared image."""
    folders = result_of(prepare_all(cases_of(root), plan or small_plan(), TASK, root / "store"))
    return {case: (folder, (folder / "image.npy").stat().st_mtime_ns) for case, folder in folders.items()}


def test_prepared_cases_are_used_again(data):
    first = prepared(data)
    assert prepared(data) == first
    assert prepared(data, small_plan(widths=(8, 16), patch=(8, 8, 8))) == first


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_case_whose_scan_or_mask_changed_is_prepared_anew(data, part):
    first = prepared(data)
    (data / part / "P2_a.nii.gz").write_bytes((data / part / "P1_a.nii.gz").read_bytes())
    second = prepared(data)
    assert [case for case in first if first[case] != second[case]] == ["P2_a"]
    assert first["P2_a"][0] != second["P2_a"][0]


def test_another_spacing_prepares_everything_anew(data):
    first, second = prepared(data), prepared(data, small_plan(spacing_mm=(2.0, 2.0, 2.5)))
    assert all(first[case] != second[case] for case in first)


def test_a_preparation_that_was_cut_short_is_made_again(data):
    folder, _ = prepared(data)["P1_a"]
    (folder / "case.json").unlink()
    assert prepared(data)["P1_a"][0] == folder
    assert (folder / "case.json").is_file()
