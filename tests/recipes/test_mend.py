"""A data set with faults goes in, one without comes out, and nothing is done in silence."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest

from segtrain.config.load import load_config
from segtrain.core.errors import ConfigError, DataError
from segtrain.core.events import CaseFailed
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.cases import find_cases
from segtrain.data.files.nifti import read_nifti, write_nifti, write_nifti_image
from segtrain.recipes.check import check
from segtrain.recipes.mend import mend
from tests.recipes.projects import CASES, CONFIG, OWN_METRIC, load, result_of, write_study

SOUND = CASES[0]
FAULTY = {"half": CASES[1], "big": CASES[2], "far": CASES[3], "alone": CASES[4]}


@pytest.fixture
def study(tmp_path):
    """One mask with 0.9999, one with 255, one 3 voxels away from its scan, one scan without a mask."""
    root = tmp_path / "study"
    write_study(root)
    labels = root / "labels"
    half = read_nifti(labels / f"{FAULTY['half']}.nii.gz")
    write_nifti_image(labels / f"{FAULTY['half']}.nii.gz", Volume(half.array * np.float32(0.9999), half.grid))
    big = read_nifti(labels / f"{FAULTY['big']}.nii.gz")
    write_nifti(labels / f"{FAULTY['big']}.nii.gz", LabelMap(big.array[0].astype(np.uint8) * 255, big.grid))
    far = read_nifti(labels / f"{FAULTY['far']}.nii.gz")
    moved = far.grid.affine.copy()
    moved[:3, 3] += 3
    write_nifti(
        labels / f"{FAULTY['far']}.nii.gz", LabelMap(far.array[0].astype(np.uint8), Grid(far.grid.shape, moved))
    )
    (labels / f"{FAULTY['alone']}.nii.gz").unlink()
    return root


def told_by(work):
    """The events, and what comes back."""
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value


def fixes(out) -> list[list[str]]:
    with (out / "fixes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def test_what_can_be_mended_is_and_the_rest_is_left_out_by_name(study, tmp_path):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    out = tmp_path / "mended"
    events, result = told_by(mend(load(study), out))
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
    lost = sorted((FAULTY["far"], FAULTY["alone"]))
    assert [event.case for event in events if isinstance(event, CaseFailed)] == list(result["left_out"]) == lost
    assert result["cases"] == 3
    assert set(result["mended"]) == {FAULTY["half"], FAULTY["big"]}
    assert [row[:2] for row in fixes(out)] == [
        *([case, "mended"] for case in sorted(result["mended"])),
        *([case, "left out"] for case in lost),
    ]


def test_check_finds_nothing_in_what_comes_out(study, tmp_path):
    assert check(load(study))
    result_of(mend(load(study), tmp_path / "mended"))
    loaded = load_config(tmp_path / "mended" / "config.yaml")
    assert check(loaded) == []
    assert loaded.config.training == load(study).config.training


def test_scans_masks_and_patients_are_those_of_before(study, tmp_path):
    out = tmp_path / "mended"
    result_of(mend(load(study), out))
    scan, was = read_nifti(out / "images" / f"{SOUND}.nii.gz"), read_nifti(study / "images" / f"{SOUND}.nii.gz")
    assert np.array_equal(scan.array, was.array)
    assert scan.grid.distance_voxels(was.grid) < 1e-6
    mask = read_nifti(out / "labels" / f"{FAULTY['half']}.nii.gz").array
    assert set(np.unique(mask)) == {0, 1}
    patients = {case.id: case.patient for case in find_cases(load_config(out / "config.yaml").config.data)}
    assert patients == {case: case.partition("_")[0] for case in (SOUND, FAULTY["half"], FAULTY["big"])}


def test_own_code_that_the_config_names_is_found_where_it_is(study, tmp_path):
    (study / "mine.py").write_text(OWN_METRIC)
    loaded = load(study, text=CONFIG + "evaluation: {metrics: [dice, 'mine.py:Missed']}\n")
    result_of(mend(loaded, tmp_path / "mended"))
    assert check(load_config(tmp_path / "mended" / "config.yaml")) == []
    assert not (tmp_path / "mended" / "mine.py").exists()


def test_nothing_is_written_over(study, tmp_path):
    (tmp_path / "mended").mkdir()
    (tmp_path / "mended" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="something already"):
        list(mend(load(study), tmp_path / "mended"))


@pytest.mark.parametrize("place", ["images", "images/new", "labels/new"])
def test_the_new_folder_lies_nowhere_where_cases_are_looked_for(study, place):
    with pytest.raises(ConfigError, match="among those that they are made of"):
        list(mend(load(study), study / place))


def test_without_a_usable_case_nothing_is_promised(study, tmp_path):
    shutil.rmtree(study / "labels")
    (study / "labels").mkdir()
    with pytest.raises(DataError):
        list(mend(load(study), tmp_path / "mended"))
    assert not (tmp_path / "mended").exists()


def test_structures_in_a_file_each_become_one_mask(tmp_path):
    root = tmp_path / "study"
    write_study(root, CONFIG.replace("organ: 1", "organ: 1, dot: 2"))
    for case in CASES:
        mask = read_nifti(root / "labels" / f"{case}.nii.gz")
        (root / "labels" / f"{case}.nii.gz").unlink()
        dot = np.zeros(mask.grid.shape, np.uint8)
        dot[0, 0, 0] = 255
        for name, array in (("organ", mask.array[0].astype(np.uint8)), ("dot", dot)):
            write_nifti(root / "labels" / case / f"{name}.nii.gz", LabelMap(array, mask.grid))
    told = result_of(mend(load(root), tmp_path / "mended"))
    assert told["left_out"] == {}
    assert "a file each" in told["mended"][SOUND][0]
    assert set(np.unique(read_nifti(tmp_path / "mended" / "labels" / f"{SOUND}.nii.gz").array)) == {0, 1, 2}
