"""F4 and F9, met by a command: series on no grid, values that are no numbers, and the repairs that are asked for."""

from __future__ import annotations

import csv
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from segtrain.config.load import load_config
from segtrain.data.cases import find_cases
from segtrain.data.files.nifti import read_nifti
from tests.commands.projects import CONFIG, answer, done, refused, write_image
from tests.data.stack_phantoms import CENTRE_MM, EVEN, STACKS, as_rtstruct, as_seg, as_series, write_stack
from tests.faults.studies import contents, image_of, small_study
from tests.faults.table import fault

TREE = CONFIG.replace(
    "{images: images, labels: labels, channels: [T1]}",
    "{layout: dicom, root: data, channels: {CT: scan}, label: 'mask*'}",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A patient with a gap, one with uneven slices, one with a tilt, each with a mask of its kind; and a sound one."""
    for case, (kind, mask) in enumerate(
        {"missing": as_seg, "uneven": as_rtstruct, "tilt": as_series, "sound": as_series}.items()
    ):
        folder = tmp_path / "data" / kind
        heights, degrees = STACKS.get(kind, (EVEN, 0.0))
        write_stack(folder / "scan", heights, degrees, PatientID=str(case))
        mask(folder / ("mask" if mask is as_series else "mask.dcm"), heights, degrees)
        for file in sorted(folder.rglob("*.dcm")):
            data = pydicom.dcmread(file)
            data.PatientID = str(case)
            data.save_as(file)
        for file in (folder / "even").glob("*") if (folder / "even").exists() else ():
            file.unlink()
    config = tmp_path / "config.yaml"
    config.write_text(TREE, encoding="utf-8")
    return config


def fixes(out: Path) -> list[list[str]]:
    with (out / "fixes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def test_fit_refuses_and_the_refusal_names_the_repair(tree: Path, tmp_path: Path) -> None:
    text = str(refused("fit", "--config", tree, "--run", tmp_path / "run", code=3))
    for name in ("missing-slices", "uneven-slices", "tilt"):
        assert f"segtrain check --fix DIR --repair {name}" in text


@fault(
    "F9",
    "gaps, uneven slices and a tilt in a tree of DICOM, and `--repair`",
    then="mended, in fixes.csv; else left out",
)
def test_what_is_asked_for_is_repaired_and_written_down(tree: Path, tmp_path: Path) -> None:
    before, out = contents(tmp_path / "data"), tmp_path / "mended"
    asked = [word for name in ("missing-slices", "uneven-slices", "tilt") for word in ("--repair", name)]
    told = answer("check", "--config", tree, "--fix", out, *asked, code=1)
    assert told["fixed"]["cases"] == 4
    assert contents(tmp_path / "data") == before
    rows = {case: " ".join(row[2] for row in fixes(out) if row[:2] == [case, "mended"]) for case, *_ in fixes(out)}
    assert "3 missing slices interpolated between the neighbours, at 15, 17.5, 27.5 mm" in rows["missing"]
    assert "14 slices at distances of 2.5 to 3.5 mm interpolated to 16, 2.5 mm apart" in rows["uneven"]
    assert "gantry tilt of 15.0 degrees taken out" in rows["tilt"]
    assert "nearest slice" in rows["missing"]
    assert "sound" not in rows
    assert answer("check", "--config", out / "config.yaml", code=0)["problems"] == []
    for case in find_cases(load_config(out / "config.yaml").config.data):
        scan, mask = read_nifti(case.images[0].path), read_nifti(case.label.path)
        for inside in (mask.array[0] == 1, scan.array[0] > 2000 * np.exp(-1) - 1000):
            centre = scan.grid.positions_mm(np.argwhere(inside).mean(axis=0)[None])[0] * (-1, -1, 1)
            assert np.abs((centre - CENTRE_MM) / scan.grid.spacing_mm).max() < 0.5, case.id


def test_what_is_not_asked_for_is_left_out_by_name(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "mended"
    told = answer("check", "--config", tree, "--fix", out, "--repair", "tilt", code=1)
    assert sorted(told["fixed"]["left_out"]) == ["missing", "uneven"]
    assert [row[:2] for row in fixes(out) if row[1] == "left out"] == [["missing", "left out"], ["uneven", "left out"]]
    assert (out / "images" / "tilt.nii.gz").exists()


@fault(
    "F4", "NaN and infinite voxels, and `check --fix DIR --repair nan=-7`", then="that value; the number in fixes.csv"
)
def test_voxels_that_are_no_numbers_get_the_value_that_is_asked_for(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    scan = read_nifti(image_of(config))
    array = scan.array[0].copy()
    array[3, 4, 5], array[5, 4, 3] = np.inf, np.nan
    write_image(image_of(config), array, scan.grid)
    strict = answer("check", "--config", config, "--fix", tmp_path / "strict", code=1)
    assert list(strict["fixed"]["left_out"]) == ["P1"]
    told = answer("check", "--config", config, "--fix", tmp_path / "out", "--repair", "nan=-7", code=1)
    assert told["fixed"]["left_out"] == {}
    assert fixes(tmp_path / "out") == [["P1", "mended", "2 voxels that were NaN or infinite set to -7"]]
    found = np.asarray(nibabel.load(tmp_path / "out" / "images" / "P1.nii.gz").dataobj)
    assert found[3, 4, 5] == found[5, 4, 3] == -7
    found[3, 4, 5], found[5, 4, 3] = array[3, 4, 5], array[5, 4, 3]
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--repair", "tilt"], "--repair is for --fix"),
        (["--fix", "out", "--repair", "shear"], "known repair names"),
        (["--fix", "out", "--repair", "nan=air"], "finite number"),
    ],
)
def test_a_repair_that_cannot_be_meant_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    config = small_study(tmp_path)
    assert words in str(refused("check", "--config", config, *flags, code=2))
    assert not (tmp_path / "out").exists()


@fault("F9", "a slice that alone lacks its RescaleIntercept", then="3, the case and the slice")
def test_a_slice_without_its_intercept_is_named(tree: Path, tmp_path: Path) -> None:
    file = sorted((tmp_path / "data" / "sound" / "scan").iterdir())[5]
    data = pydicom.dcmread(file)
    del data.RescaleIntercept
    data.save_as(file)
    text = str(refused("fit", "--config", tree, "--run", tmp_path / "run", code=3))
    assert "case sound" in text
    assert "1 slice of 17 without RescaleIntercept" in text
    assert file.name in text


def test_an_option_of_the_command_line_is_in_its_help() -> None:
    assert "--repair" in done("check", "--help").output
