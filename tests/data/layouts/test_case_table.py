"""A CSV of cases, as people write it; every fault with its line."""

from __future__ import annotations

import re

import pytest

from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, DataError
from segtrain.data.cases import find_cases, find_scans
from segtrain.data.layouts.case_table import is_case_id, read_table, write_table
from segtrain.data.layouts.listing import FoundCase
from segtrain.data.settings import DataSettings
from tests.data.dicom_phantoms import write_series
from tests.data.folders import write_scan


def table(folder, text, encoding="utf-8", **more):
    path = folder / "cases.csv"
    path.write_bytes(text.encode(encoding))
    return DataSettings(table=path, **more)


@pytest.fixture
def scans(tmp_path):
    for name in ("a", "a2", "b", "b2", "m"):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz")
    return tmp_path


def refused(data):
    with pytest.raises(DataError) as error:
        find_cases(data)
    return error.value.problems


ROWS = [["case", "image", "label", "patient"], ["x", "scans/a.nii.gz", "scans/m.nii.gz", "P1"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_delimiters_marks_and_line_ends_of_all_programs_are_read(scans, delimiter, encoding, line_end):
    text = line_end.join(delimiter.join(row) for row in ROWS) + line_end * 2
    (case,) = find_cases(table(scans, text, encoding))
    assert (case.id, case.patient, case.label.path) == ("x", "P1", scans / "scans" / "m.nii.gz")


def test_image_columns_are_channels_in_the_order_of_their_numbers(scans):
    text = "label, image2 ,Case,IMAGE\nscans/m.nii.gz,scans/a2.nii.gz,x,scans/a.nii.gz\n"
    (case,) = find_cases(table(scans, text, channels=("T1", "T2")))
    assert [s.path.name for s in case.images] == ["a.nii.gz", "a2.nii.gz"]
    assert case.patient == "x"


def test_one_image_column_may_hold_all_channels_and_others_must_be_as_many(scans):
    one = table(scans, "case,image,label\nx,scans/a.nii.gz,scans/m.nii.gz\n", channels=("T1", "T2"))
    assert len(find_cases(one)[0].images) == 1
    two = table(scans, "case,image,image2,label\nx,scans/a.nii.gz,scans/a2.nii.gz,scans/m.nii.gz\n")
    assert "2 image columns, and data.channels 1 names (image)" in refused(two)[0].what


def test_paths_are_relative_to_the_table_and_may_lead_anywhere(scans, tmp_path):
    (tmp_path / "deep").mkdir()
    text = f"case,image,label\nx,../scans/a.nii.gz,{scans / 'scans' / 'm.nii.gz'}\n"
    (case,) = find_cases(table(tmp_path / "deep", text))
    assert case.images[0].path.samefile(scans / "scans" / "a.nii.gz")


def test_a_scan_may_be_a_folder_of_slices_whose_patient_is_known(scans):
    write_series(scans / "dicom", PatientID="1")
    (case,) = find_cases(table(scans, "case,image,label\nx,dicom,scans/m.nii.gz\n"))
    assert case.images[0].series_uid
    assert case.patient.startswith("p_")


def test_every_fault_of_every_line_is_told_with_its_number(scans):
    text = (
        "case,image,label,patient\n"
        "x,scans/a.nii.gz,scans/m.nii.gz,P1\n"
        "\n"
        "x,scans/b.nii.gz,scans/m.nii.gz,P1\n"
        "y,scans/gone.nii.gz,,P2\n"
        ",scans/b.nii.gz,scans/m.nii.gz,P3\n"
        "../z,scans/b.nii.gz,scans/m.nii.gz,\n"
        "w,cases.csv,scans/m.nii.gz,P4\n"
        "v,scans/b.nii.gz\n"
    )
    told = [f"{p.where.rpartition(' ')[2]}: {p.what}" for p in refused(table(scans, text))]
    assert told == [
        "9: the line has 2 cells, the header 4",
        "4: case x is there twice",
        "5: there is no image scans/gone.nii.gz",
        "6: '' is no case id",
        "7: '../z' is no case id",
        "7: the cell of patient is empty",
        "8: no reader knows the image cases.csv",
    ]


def test_a_case_without_a_label_cannot_train_and_can_be_predicted(scans):
    data = table(scans, "case,image,label\nx,scans/a.nii.gz,\ny,scans/b.nii.gz,scans/m.nii.gz\n")
    assert [p.what for p in refused(data)] == ["image x has no label"]
    assert [c.id for c in find_scans(data, data.table).cases] == ["x", "y"]
    labelled = find_scans(data, data.table, data.table)
    assert [(c.id, c.label.path.name) for c in labelled.cases] == [("y", "m.nii.gz")]
    assert [case for case, _ in labelled.faults] == ["x"]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("case,image,lable", "unknown: 'lable'.*did you mean 'label'"),
        ("case,image,image3,label", "image columns with gaps: 'image', 'image3'"),
        ("case,image,image,label", "twice: 'image'"),
        ("id,image,label", "it has id, image, label; no column: 'case'; unknown: 'id'"),
        ("case,label", "no column: 'image'"),
        ("case,image,", "unknown: ''"),
        ("", "it has none; no column: 'case', 'image'"),
        (
            "subject,scan,mask",
            "it has subject, scan, mask; no column: 'case', 'image'; unknown: 'subject', 'scan', 'mask'",
        ),
    ],
)
def test_a_header_that_is_not_understood_is_one_error_that_says_what_is_there_and_what_is_wanted(scans, header, words):
    (problem,) = refused(table(scans, f"{header}\nx,scans/a.nii.gz,scans/m.nii.gz\n"))
    assert problem.where.endswith("line 1")
    assert re.search(words, f"{problem.why} {problem.hint}")
    assert "case,image,label" in problem.hint
    assert "segtrain init" in problem.hint


def test_what_is_no_table_is_refused_in_words(tmp_path):
    assert "no case" in refused(table(tmp_path, "case,image,label\n"))[0].what
    assert "cannot be read" in refused(DataSettings(table=tmp_path / "none.csv"))[0].what
    assert "UTF-8" in refused(table(tmp_path, "case,image,label\nä", "latin-1"))[0].what
    with pytest.raises(ConfigError, match=r"data\.table"):
        find_cases(DataSettings(layout="table"))


def test_another_folder_of_masks_is_refused_because_the_table_names_them(scans):
    data = table(scans, "case,image,label\nx,scans/a.nii.gz,scans/m.nii.gz\n")
    with pytest.raises(ConfigError, match="itself where its masks are"):
        find_scans(data, data.table, scans / "scans")
    flat = find_scans(data, scans / "scans", scans / "scans")
    assert len(flat.cases) == 5


def test_a_written_table_is_read_as_it_was(scans, tmp_path):
    scan, other, mask = (ScanSource(scans / "scans" / f"{name}.nii.gz") for name in ("a", "a2", "m"))
    path = tmp_path / "configs" / "made.csv"
    write_table(path, {"b": FoundCase((scan, other), None, "P2"), "a,b": FoundCase((other, scan), mask, "P1")})
    assert path.read_text(encoding="utf-8").splitlines()[1] == (
        '"a,b",../scans/a2.nii.gz,../scans/a.nii.gz,../scans/m.nii.gz,P1'
    )
    again = find_scans(DataSettings(table=path, channels=("x", "y")), path).cases
    assert [(c.id, c.patient) for c in again] == [("a,b", "P1"), ("b", "P2")]
    assert [row.cells["label"] for row in read_table(path, [])] == ["../scans/m.nii.gz", ""]


def test_a_name_that_no_system_takes_is_a_fault_of_its_line(tmp_path):
    write_scan(tmp_path / "a.nii.gz")
    path = tmp_path / "cases.csv"
    path.write_text(f"case,image,label\nx,{'y' * 300}.nii.gz,a.nii.gz\nz,~nobody_is_called_so/a.nii.gz,a.nii.gz\n")
    with pytest.raises(DataError) as error:
        find_cases(DataSettings(table=path))
    assert [problem.what[:17] for problem in error.value.problems] == ["there is no image"] * 2


def test_links_are_written_under_their_own_name(tmp_path):
    write_scan(tmp_path / "blobs" / "x.nii.gz").rename(tmp_path / "blobs" / "0a1b")
    (tmp_path / "a.nii.gz").symlink_to("blobs/0a1b")
    source = ScanSource(tmp_path / "a.nii.gz")
    write_table(tmp_path / "cases.csv", {"a": FoundCase((source,), source, "")})
    assert (tmp_path / "cases.csv").read_text().splitlines()[1] == "a,a.nii.gz,a.nii.gz"


@pytest.mark.parametrize("name", ["NUL", "con.x", "P1.", "P1 ", ".a", "ä" * 101, "a/b", ""])
def test_a_name_that_names_no_file_on_some_system_is_no_case_id(name):
    assert not is_case_id(name)
    assert is_case_id("P1.2 console-ä")
