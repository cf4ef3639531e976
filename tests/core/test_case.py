"""Scans and cases are values: equal by content, ordered by path, printed as a path."""

from pathlib import Path

from segtrain.core.case import Case, ScanSource


def test_a_source_is_printed_as_its_path():
    assert str(ScanSource(Path("scans") / "a.nii.gz")) == str(Path("scans") / "a.nii.gz")


def test_two_series_of_one_folder_are_two_sources_in_a_fixed_order():
    one, two = ScanSource(Path("p"), "1.2"), ScanSource(Path("p"), "1.3")
    assert one != two
    assert sorted([two, ScanSource(Path("q")), one]) == [one, two, ScanSource(Path("q"))]


def test_a_case_without_a_label_is_for_prediction_and_equal_cases_are_one():
    case = Case("a", "p", (ScanSource(Path("a.nii")),))
    assert case.label is None
    assert {case, Case("a", "p", (ScanSource(Path("a.nii")),))} == {case}
