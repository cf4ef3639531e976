"""A CSV with columns of its own: which is which, and that it is said."""

from __future__ import annotations

import pytest

from segtrain.core.errors import DataError
from segtrain.data.recognise.table import recognise_table
from tests.data.folders import write_scan


@pytest.fixture
def table(tmp_path):
    """Writes a CSV beside scans a to c, their second sequences and a mask."""
    for name in ("a", "b", "c", "a2", "b2", "m"):
        write_scan(tmp_path / f"{name}.nii.gz")

    def write(text):
        path = tmp_path / "study.csv"
        path.write_text(text.replace(" ", "\n"))
        return path

    return write


def rows(found):
    return {case: (row.patient, *(s.path.name for s in row.images)) for case, row in found.rows.items()}


def test_synonyms_are_taken_and_said(table):
    found = recognise_table(table("subject,scan,mask P1,a.nii.gz,m.nii.gz P2,b.nii.gz,m.nii.gz"))
    assert rows(found) == {"P1": ("P1", "a.nii.gz"), "P2": ("P2", "b.nii.gz")}
    assert found.values == {"layout": "table", "channels": ["image"]}
    assert found.guesses == ("columns: case from subject, patient from subject, image from scan, label from mask",)


def test_several_scans_of_a_patient_get_a_number_each(table):
    lines = "Patient-ID;Seg;T1 P1;m.nii.gz;a.nii.gz P1;m.nii.gz;b.nii.gz P2;m.nii.gz;c.nii.gz"
    found = recognise_table(table(lines))
    assert rows(found) == {"P1_1": ("P1", "a.nii.gz"), "P1_2": ("P1", "b.nii.gz"), "P2": ("P2", "c.nii.gz")}


def test_columns_of_files_are_channels_and_the_others_are_told(table):
    lines = "id,t1,age,flair,tumour_mask x,a.nii.gz,41,a2.nii.gz,m.nii.gz y,b.nii.gz,9,b2.nii.gz,"
    found = recognise_table(table(lines))
    assert found.values["channels"] == ["t1", "flair"]
    assert rows(found) == {"x": ("", "a.nii.gz", "a2.nii.gz"), "y": ("", "b.nii.gz", "b2.nii.gz")}
    assert found.rows["y"].label is None
    assert found.guesses[1] == "columns that are not used: age"


def test_without_a_column_of_ids_the_file_is_the_case(table):
    assert list(recognise_table(table("img,gt a.nii.gz,m.nii.gz b.nii.gz,m.nii.gz")).rows) == ["a", "b"]


def test_a_row_without_an_image_is_left_out_and_said(table):
    found = recognise_table(table("id,scan,seg x,a.nii.gz,m.nii.gz y,,m.nii.gz"))
    assert list(found.rows) == ["x"]
    assert found.guesses[-1].endswith("is empty: line 3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b 1,2", r"the columns are a, b; no column leads to scans"),
        (
            "id,scan,mask x,gone/a.nii.gz,m.nii.gz",
            r"no column leads to scans, as .*/gone/a.nii.gz for gone",
        ),
        ("id,scan x,a.nii.gz", r"no column leads to masks \(called label"),
        ("id,scan,mask x,a.nii.gz,m.nii.gz x,b.nii.gz,m.nii.gz", r"would be one case"),
        ("id,scan,mask x,a.nii.gz", r"2 cells, the header 3"),
    ],
)
def test_what_is_not_understood_is_one_error_that_says_what_is_there(table, text, words):
    with pytest.raises(DataError, match=words) as error:
        recognise_table(table(text))
    assert len(error.value.problems) == 1


def test_the_usual_columns_need_no_other_table(table):
    found = recognise_table(path := table("case,image,image2,label x,a.nii.gz,a2.nii.gz,m.nii.gz"))
    assert (found.values, found.rows) == ({"table": path, "channels": ["image", "image2"]}, {})


def test_a_column_that_is_there_twice_is_not_chosen_from(table):
    with pytest.raises(DataError, match="twice: 'scan'"):
        recognise_table(table("id,scan,scan,mask x,a.nii.gz,b.nii.gz,m.nii.gz"))


@pytest.mark.parametrize(
    "column", ["mrn", "patient_number", "patient_code", "PatientName", "subj", "Participants-ID", "sub", "Patient No."]
)
def test_a_column_called_after_patients_keeps_the_scans_of_one_together(table, column):
    text = f"{column},scan,mask,id\nP1,a.nii.gz,m.nii.gz,x\nP1,b.nii.gz,m.nii.gz,y\nP2,c.nii.gz,m.nii.gz,z\n"
    path = table("")
    path.write_text(text)
    found = recognise_table(path)
    assert [row.patient for row in found.rows.values()] == ["P1", "P1", "P2"]
    assert list(found.rows) == ["x", "y", "z"]


def test_what_patients_share_is_not_who_they_are_and_may_be_him(table):
    lines = "id,patient_age,owner,scan,mask x,60,A,a.nii.gz,m.nii.gz y,60,A,b.nii.gz,m.nii.gz z,60,B,c.nii.gz,m.nii.gz"
    found = recognise_table(table(lines))
    assert [row.patient for row in found.rows.values()] == ["", "", ""]
    assert "rows share values of owner: call it patient" in found.guesses[-1]


def test_ids_that_name_folders_beside_the_table_are_ids(table, tmp_path):
    for case in ("P1", "P2"):
        for name in ("i", "m"):
            write_scan(tmp_path / case / f"{name}.nii.gz")
    found = recognise_table(table("patient,scan,mask P1,P1/i.nii.gz,P1/m.nii.gz P2,P2/i.nii.gz,P2/m.nii.gz"))
    assert rows(found) == {"P1": ("P1", "i.nii.gz"), "P2": ("P2", "i.nii.gz")}


def test_a_column_of_ids_is_that_of_the_scans_where_no_other_is(table):
    assert list(recognise_table(table("study,mask a.nii.gz,m.nii.gz b.nii.gz,m.nii.gz")).rows) == ["a", "b"]
