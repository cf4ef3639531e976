"""Trees of DICOM series: depth and names."""

from __future__ import annotations

import pytest

from segtrain.data.cases import find_cases
from segtrain.data.recognise_dicom import recognise_dicom
from segtrain.data.settings import DataSettings
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan


def write_tree(root, cases, names, **elements):
    for case in cases:
        for name in names:
            write_series(root / case / name, SeriesDescription=name, PatientID=case.partition("/")[0], **elements)
    return root


def test_patient_date_series(tmp_path):
    found = recognise_dicom(write_tree(tmp_path, ["A/t0", "A/t1", "B/t0"], ["T1", "FLAIR", "MaskTumor"]))
    assert (found.values["case"], found.values["label"]) == ("*/*", "MaskTumor")
    assert found.values["channels"] == {"FLAIR": "FLAIR", "T1": "T1"}
    cases = find_cases(DataSettings.model_validate(found.values))
    assert [(c.id, len(c.images)) for c in cases] == [("A_t0", 2), ("A_t1", 2), ("B_t0", 2)]


def test_one_date_each_is_as_deep_as_it_looks(tmp_path):
    assert recognise_dicom(write_tree(tmp_path / "1", ["A/t0", "B/t0"], ["T1", "seg"])).values["case"] == "*/*"
    assert recognise_dicom(write_tree(tmp_path / "2", ["A", "B"], ["T1", "seg"])).values["case"] == "*"


def test_descriptions_tell_series_apart_where_folders_do_not(tmp_path):
    for number, case in enumerate("AB"):
        write_series(tmp_path / case / f"{number}01", SeriesDescription="T1 [post]")
        write_series(tmp_path / case / f"{number}02", SeriesDescription="tumour mask")
    found = recognise_dicom(tmp_path)
    assert (found.values["channels"], found.values["label"]) == ({"T1_post": "T1 [[]post]"}, "tumour mask")
    assert len(find_cases(DataSettings.model_validate(found.values))) == 2


def test_a_series_that_some_lack_is_no_channel_and_that_is_said(tmp_path):
    write_tree(tmp_path, ["A", "B"], ["T1", "mask"])
    write_series(tmp_path / "A" / "T2", SeriesDescription="T2")
    found = recognise_dicom(tmp_path)
    assert found.values["channels"] == {"T1": "T1"}
    assert "t2" in found.guesses[0]


def test_masks_may_be_files_of_the_tree(tmp_path):
    write_tree(tmp_path, ["A", "B"], ["T1"])
    for case in "AB":
        write_scan(tmp_path / case / "mask.nii.gz")
    found = recognise_dicom(tmp_path)
    cases = find_cases(DataSettings.model_validate(found.values))
    assert [c.label.path.name for c in cases] == ["mask.nii.gz"] * 2


def test_no_dicom_and_no_masks_are_not_recognised(tmp_path):
    write_scan(tmp_path / "x" / "a.nii.gz")
    assert recognise_dicom(tmp_path / "x") is None
    assert recognise_dicom(write_tree(tmp_path / "y", ["A", "B"], ["T1", "T2"])) is None


@pytest.mark.slow
def test_the_real_tree():
    values = recognise_dicom(phantoms.real_data("pgbm_dicom")).values
    assert (values["case"], values["label"]) == ("*/*", "MaskTumor")
