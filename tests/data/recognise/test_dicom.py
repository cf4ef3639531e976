"""Trees of DICOM series: depth and names."""

from __future__ import annotations

import pytest

from segtrain.core.errors import DataError
from segtrain.data.cases import find_cases
from segtrain.data.recognise.dicom import recognise_dicom
from segtrain.data.settings import DataSettings
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan
from tests.data.rtstruct_phantoms import write_rtstruct


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


def write_drawn(root, case, name, *, at=""):
    """A scan, and an RTSTRUCT of that file name with a StructureSetLabel of its own."""
    write_series(root / case / at, SeriesDescription=f"CT of {case}", PatientID=case)
    return write_rtstruct(root / case / name, {"Liver": None}, PatientID=case, StructureSetLabel=f"by {case}")


@pytest.mark.parametrize("at", ["ct", ""])
def test_masks_called_otherwise_in_each_case_are_told_by_what_their_names_share(tmp_path, at):
    for number, case in enumerate("ABC"):
        write_drawn(tmp_path, case, f"RS.1.2.84{number}{number}.dcm", at=at)
    found = recognise_dicom(tmp_path)
    assert found.values["label"] == "RS.*.dcm"
    assert list(found.values["channels"]) == (["ct"] if at else ["image"])
    assert "RS.*.dcm" in found.guesses[0]
    cases = find_cases(DataSettings.model_validate(found.values))
    assert [(c.id, c.label.path.name) for c in cases] == [
        ("A", "RS.1.2.8400.dcm"),
        ("B", "RS.1.2.8411.dcm"),
        ("C", "RS.1.2.8422.dcm"),
    ]


def test_one_case_without_a_drawing_is_left_to_check(tmp_path):
    for case in "ABC":
        path = write_drawn(tmp_path, case, f"RS.{case}.dcm", at="ct")
    path.unlink()
    with pytest.raises(DataError) as error:
        find_cases(DataSettings.model_validate(recognise_dicom(tmp_path).values))
    assert [problem.what for problem in error.value.problems] == ["no series is the label"]


def test_names_that_share_nothing_are_written_into_a_table(tmp_path):
    """The drawing has no suffix, and all that could tell it from the scan is in it."""
    for case in ("P1", "Q2"):
        path = write_drawn(tmp_path, case, f"{case}drawn{case}", at="ct")
        write_rtstruct(path, {"Liver": None}, PatientID=case, StructureSetLabel="CT")
    found = recognise_dicom(tmp_path)
    assert found.values == {"layout": "table", "channels": ["image"]}
    assert {case: (row.images[0].path.name, row.label.path.name) for case, row in found.rows.items()} == {
        "P1": ("ct", "P1drawnP1"),
        "Q2": ("ct", "Q2drawnQ2"),
    }


def test_two_drawings_of_a_case_are_not_chosen_from(tmp_path):
    for case in "AB":
        write_drawn(tmp_path, case, f"RS.{case}1.dcm", at="ct")
        write_rtstruct(tmp_path / case / f"RS.{case}2.dcm", {"Liver": None}, StructureSetLabel=f"again {case}")
    assert recognise_dicom(tmp_path) is None


def test_a_scan_that_some_lack_is_said_where_the_masks_have_no_name_too(tmp_path):
    for case in "AB":
        write_drawn(tmp_path, case, f"RS.{case}.dcm", at="ct")
    write_series(tmp_path / "A" / "pet", SeriesDescription="PET", PatientID="A")
    found = recognise_dicom(tmp_path)
    assert found.values["channels"] == {"ct": "ct"}
    assert found.guesses[1] == "no channel, because some cases lack it or have it twice: pet"


def test_two_folders_that_would_be_one_case_are_refused(tmp_path):
    """Their drawings share no name, so that a table has to name them: one of the two would be lost."""
    for case, name in (("A_1/B", "xdrawnx"), ("A/1_B", "ydrawny")):
        path = write_drawn(tmp_path, case, name, at="ct")
        write_rtstruct(path, {"Liver": None}, StructureSetLabel="CT")
    with pytest.raises(DataError, match=r"two folders would be one case[\s\S]*A/1_B and A_1/B"):
        recognise_dicom(tmp_path)


def test_series_that_share_a_folder_are_not_put_into_a_table(tmp_path):
    """A table names folders: which of the series is meant, it could not say."""
    for case, drawn in (("P1", "mask of P1"), ("Q2", "Q2 seg")):
        folder = tmp_path / case / "all"
        for path in write_series(folder, uid=f"1.2.{case[1]}.1", SeriesDescription=f"{case} {case}"):
            path.rename(path.with_name(f"scan{path.name}"))
        write_series(folder, uid=f"1.2.{case[1]}.2", SeriesDescription=drawn)
    assert recognise_dicom(tmp_path) is None
