"""Scans and masks side by side, and a folder for each case."""

from __future__ import annotations

import pytest

from segtrain.core.errors import DataError
from segtrain.data.recognise.files import (
    recognise_case_folders,
    recognise_pairs,
    recognise_structure_folders,
    scan_files,
)
from tests.data.folders import write_scan
from tests.data.itk_phantoms import write


def fill(root, *names):
    for name in names:
        write_scan(root / f"{name}.nii.gz")
    return root


def rows(found):
    return {case: ([s.path.name for s in row.images], row.label.path.name) for case, row in found.rows.items()}


def test_a_mask_is_called_after_its_scan(tmp_path):
    found = recognise_pairs(fill(tmp_path, "P1", "P1_seg", "P2", "P2_seg"))
    assert found.values == {"layout": "table", "channels": ["image"]}
    assert rows(found)["P2"] == (["P2.nii.gz"], "P2_seg.nii.gz")
    assert found.guesses == ()


def test_several_scans_of_a_case_are_channels(tmp_path):
    found = recognise_pairs(fill(tmp_path, "P1_T1", "P1_T2", "P1_mask", "P2_T1", "P2_T2", "P2_mask"))
    assert found.values["channels"] == ["T1", "T2"]
    assert rows(found)["P1"] == (["P1_T1.nii.gz", "P1_T2.nii.gz"], "P1_mask.nii.gz")


def test_what_belongs_to_no_mask_is_said(tmp_path):
    found = recognise_pairs(fill(tmp_path, "P1", "P1_seg", "atlas", "P3"))
    assert list(found.rows) == ["P1"]
    assert found.guesses == ("left out, because no mask is called after it: P3, atlas",)


def test_cases_without_a_common_scan_are_refused(tmp_path):
    with pytest.raises(DataError, match="no channel is there in every case"):
        recognise_pairs(fill(tmp_path, "P1_T1", "P1_seg", "P2_T2", "P2_seg"))


def test_without_masks_nothing_is_recognised(tmp_path):
    assert recognise_pairs(fill(tmp_path, "P1", "P2")) is None


def test_a_folder_for_each_case_whose_files_begin_with_its_name(tmp_path):
    for case in ("BraTS_001", "BraTS_002"):
        fill(tmp_path / case, *(f"{case}_{part}" for part in ("t1", "flair", "seg")))
    found = recognise_case_folders(tmp_path)
    assert found.values["channels"] == ["flair", "t1"]
    assert rows(found)["BraTS_001"] == (["BraTS_001_flair.nii.gz", "BraTS_001_t1.nii.gz"], "BraTS_001_seg.nii.gz")


def test_a_folder_for_each_case_whose_files_are_called_alike(tmp_path):
    for case in ("case_0", "case_1"):
        fill(tmp_path / case, "imaging", "segmentation")
    fill(tmp_path / "case_0", "extra")
    found = recognise_case_folders(tmp_path)
    assert rows(found)["case_1"] == (["imaging.nii.gz"], "segmentation.nii.gz")
    assert found.guesses == ("no channel, because some cases lack it: extra (1 of 2 cases)",)


def test_folders_of_visits_in_folders_of_patients(tmp_path):
    for case in ("P1/2001", "P1/2002", "P2/2001"):
        fill(tmp_path / case, "T1", "mask")
    found = recognise_case_folders(tmp_path)
    assert {case: row.patient for case, row in found.rows.items()} == {
        "P1_2001": "P1",
        "P1_2002": "P1",
        "P2_2001": "P2",
    }


def test_groups_of_many_cases_are_no_patients(tmp_path):
    for case in (*(f"HGG/Brats18_A{n}_1" for n in range(4)), "LGG/Brats18_B0_1"):
        name = case.rpartition("/")[2]
        fill(tmp_path / case, f"{name}_t1", f"{name}_seg")
    found = recognise_case_folders(tmp_path)
    assert {row.patient for row in found.rows.values()} == {""}
    assert "each case is taken as a patient" in found.guesses[-1]


@pytest.mark.parametrize("visits", [["a", "ses-1", "b", "c"], ["2001", "x", "y", "z"], ["P1-a", "P1-b", "c", "d"]])
def test_many_visits_are_of_one_patient_where_one_is_called_so(tmp_path, visits):
    for case in (*(f"P1/{visit}" for visit in visits), "P2/first"):
        fill(tmp_path / case, "T1", "mask")
    assert {row.patient for row in recognise_case_folders(tmp_path).rows.values()} == {"P1", "P2"}


def test_one_case_without_a_mask_is_left_to_check(tmp_path):
    for case in ("P0", "P1", "P2"):
        fill(tmp_path / case, "t1", *(["seg"] if case != "P1" else []))
    found = recognise_case_folders(tmp_path)
    assert {case: row.label is not None for case, row in found.rows.items()} == {"P0": True, "P1": False, "P2": True}
    assert found.guesses == ()


def test_several_masks_are_said(tmp_path):
    for case in ("P1", "P2"):
        fill(tmp_path / case, "T1", "a_mask", "b_mask")
    assert recognise_case_folders(tmp_path).guesses == ("a_mask is taken as the mask; b_mask could be it too",)


def test_no_masks_and_no_folders(tmp_path):
    fill(tmp_path, "a", "b_seg")
    assert recognise_case_folders(tmp_path) is None
    for case in ("P1", "P2"):
        fill(tmp_path / "x" / case, "T1")
    assert recognise_case_folders(tmp_path / "x") is None


def test_hidden_and_foreign_files_are_no_scans(tmp_path):
    fill(tmp_path, "a", "._a")
    (tmp_path / "a.json").write_text("{}")
    assert list(scan_files(tmp_path)) == ["a"]


def test_masks_of_3d_slicer_beside_their_scans_of_the_same_name(tmp_path):
    for name in ("P1", "P2"):
        for suffix in (".nrrd", ".seg.nrrd"):
            for folder in (tmp_path / "one", tmp_path / "each" / name):
                folder.mkdir(parents=True, exist_ok=True)
                write(folder / f"{name}{suffix}")
    expected = {name: ([f"{name}.nrrd"], f"{name}.seg.nrrd") for name in ("P1", "P2")}
    assert rows(recognise_pairs(tmp_path / "one")) == expected
    assert rows(recognise_case_folders(tmp_path / "each")) == expected


def test_a_folder_of_masks_with_a_file_a_structure_in_the_folder_of_each_case(tmp_path):
    for case in ("s0000", "s0001", "s0002"):
        fill(tmp_path / case, "ct")
        if case != "s0001":
            fill(tmp_path / case / "segmentations", "liver", "spleen")
    fill(tmp_path, "atlas")
    fill(tmp_path / "odd", "mr")
    found = recognise_structure_folders(tmp_path)
    assert found.values == {"layout": "table", "channels": ["ct"]}
    assert {case: row.label and row.label.path.name for case, row in found.rows.items()} == {
        "s0000": "segmentations",
        "s0001": None,
        "s0002": "segmentations",
    }
    assert found.guesses == ("left out, because ct is not beside it: atlas.nii.gz, odd/mr.nii.gz",)


def test_a_label_map_beside_the_structures_is_told(tmp_path):
    for case in ("a", "b"):
        fill(tmp_path / case, "ct", "combined_labels")
        fill(tmp_path / case / "segmentations", "liver")
    found = recognise_structure_folders(tmp_path)
    assert found.values["channels"] == ["ct"]
    assert found.guesses[0] == "the folder segmentations is taken as the mask; combined_labels could be it too"


def test_folders_of_scans_and_of_masks_are_no_structures(tmp_path):
    fill(tmp_path / "images", "a")
    fill(tmp_path / "masks", "a")
    assert recognise_structure_folders(tmp_path) is None
