"""Two sub-folders whose names pair: which is which, and how many channels there are."""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.core.volume import Volume
from segtrain.data.files.nifti import write_nifti_image
from segtrain.data.recognise.folders import names_that_do_not_pair, recognise_folders
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan


def fill(root, **folders):
    for folder, names in folders.items():
        for name in names:
            write_scan(root / folder / f"{name}.nii.gz")
    return root


def write_grey(path):
    """A scan that is no mask."""
    grid = phantoms.grid((3, 3, 3))
    write_nifti_image(path, Volume(np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3) / 7, grid))


@pytest.mark.parametrize(("images", "labels"), [("imagesTr", "labelsTr"), ("scans", "masks"), ("MR", "MR_seg")])
def test_names_of_folders_say_which_holds_the_masks(tmp_path, images, labels):
    found = recognise_folders(fill(tmp_path, **{images: "ab", labels: "ab"}))
    assert found.values == {"images": tmp_path / images, "labels": tmp_path / labels, "channels": ["image"]}
    assert "2 cases" in found.words


def test_without_such_names_the_voxels_say_it(tmp_path):
    fill(tmp_path, a=["P1", "P2"])
    write_grey(tmp_path / "b" / "P1.nii.gz")
    found = recognise_folders(tmp_path)
    assert (found.values["images"].name, found.values["labels"].name) == ("b", "a")
    write_grey(tmp_path / "a" / "P1.nii.gz")
    assert recognise_folders(tmp_path) is None


def test_numbers_at_the_end_are_channels(tmp_path):
    found = recognise_folders(fill(tmp_path, images=["P1_0000", "P1_0001"], labels=["P1"]))
    assert found.values["channels"] == ["channel_0", "channel_1"]
    assert "names you may change" in found.guesses[0]
    assert found.rows == {}


def test_one_number_on_all_is_none(tmp_path):
    found = recognise_folders(fill(tmp_path, images=["P1_0000", "P2_0000"], labels=["P1", "P2"]))
    assert found.values["channels"] == ["image"]


def test_other_names_become_the_rows_of_a_table(tmp_path):
    root = fill(tmp_path, scans=["P1_T1", "P1_T2", "P10_T1", "P10_T2"], masks=["P1_seg", "P10_seg"])
    found = recognise_folders(root)
    assert found.values == {"layout": "table", "channels": ["T1", "T2"]}
    assert [s.path.name for s in found.rows["P1"].images] == ["P1_T1.nii.gz", "P1_T2.nii.gz"]
    assert found.rows["P10"].label.path.name == "P10_seg.nii.gz"


def test_a_scan_that_not_all_cases_have_is_no_channel_and_that_is_said(tmp_path):
    root = fill(tmp_path, scans=["P1_T1", "P1_T2", "P2_T1"], masks=["P1", "P2"])
    found = recognise_folders(root)
    assert found.values["channels"] == ["T1"]
    assert "T2 (1 of 2 cases)" in found.guesses[0]


def test_what_does_not_pair_and_a_second_mask_are_said(tmp_path):
    scans = [f"P{number}_{part}" for number in (1, 2, 3, 4) for part in ("T1", "T2")]
    root = fill(tmp_path, images=scans, labels=["P1_seg", "P2_seg", "P3_seg", "P9_seg", "P1_mask"])
    found = recognise_folders(root)
    assert list(found.rows) == ["P1", "P2", "P3"]
    assert found.guesses == (
        "left out, because no mask is called after it: P4_T1, P4_T2",
        "masks without a scan, left out: P9_seg",
        "second masks of a case, left out: P1_seg",
    )


def test_each_mask_may_be_called_in_its_own_way(tmp_path):
    root = fill(tmp_path, images=["P0", "P1", "P2"], labels=["P0", "P1_seg", "P2_seg"])
    assert {case: row.label.path.name for case, row in recognise_folders(root).rows.items()} == {
        "P0": "P0.nii.gz",
        "P1": "P1_seg.nii.gz",
        "P2": "P2_seg.nii.gz",
    }


def test_the_pair_with_most_cases_is_taken_and_the_others_are_said(tmp_path):
    found = recognise_folders(fill(tmp_path, imagesTr="abc", labelsTr="abc", imagesTs="de", labelsTs="de"))
    assert found.values["labels"].name == "labelsTr"
    assert found.guesses == ("imagesTs and labelsTs pair as well (2 cases): left out",)


def test_scans_may_be_folders_of_slices(tmp_path):
    write_series(tmp_path / "images" / "P1")
    found = recognise_folders(fill(tmp_path, labels=["P1"]))
    assert found.values["images"].name == "images"


def test_visits_and_folders_of_cases_are_no_pair(tmp_path):
    fill(tmp_path / "cases", case_0=["imaging", "segmentation"], case_1=["imaging", "segmentation"])
    assert recognise_folders(tmp_path / "cases") is None
    assert recognise_folders(tmp_path) is None


def test_names_that_do_not_pair_are_shown(tmp_path):
    fill(tmp_path, images=["a"], labels=["b"])
    assert recognise_folders(tmp_path) is None
    assert names_that_do_not_pair(tmp_path) == ". No name is in both: a in images, b in labels"
    assert names_that_do_not_pair(tmp_path / "images") == ""


def test_a_mask_may_be_a_folder_with_a_file_a_structure(tmp_path):
    fill(tmp_path, images=["P1", "P2"])
    for case in ("P1", "P2"):
        fill(tmp_path / "masks", **{case: ["liver", "spleen"]})
    found = recognise_folders(tmp_path)
    assert found.values == {"images": tmp_path / "images", "labels": tmp_path / "masks", "channels": ["image"]}
    fill(tmp_path / "visits", P1=["T1"], P2=["T1"])
    assert recognise_folders(tmp_path / "visits") is None
