import csv
import io

import numpy as np
import pytest

from segtrain.core.errors import DataError
from segtrain.core.scores import CaseScores, Score
from segtrain.reports.tables import guarded, labels_of, read_cases_csv, status_in, unguarded, write_cases_csv, write_csv
from tests.reports.builders import HOSTILE, absent, case, invented, missed


def plain(found: CaseScores):
    return (found.case, found.patient, found.scores, found.reference_ml, found.prediction_ml)


def test_what_is_written_is_read_again_to_the_last_digit(tmp_path):
    scores = [
        case("P1", 0.1 + 0.2),
        absent("P2"),
        missed("P3"),
        invented("P4"),
        case(HOSTILE, 1 / 3, patient="+x", label='@l, with "quotes"\nand a line'),
        case("-5", 1e-300, patient="'=twice"),
    ]
    path = tmp_path / "new" / "cases.csv"
    write_cases_csv(path, scores)
    assert [plain(c) for c in read_cases_csv(path)] == [plain(c) for c in scores]


def test_the_columns_and_line_ends_are_those_of_the_contract(tmp_path):
    path = tmp_path / "cases.csv"
    write_cases_csv(path, [case("P1", 0.5), absent("P2")])
    assert path.read_bytes().decode().split("\n") == [
        "case,patient,label,metric,value,status",
        "P1,P1,organ,dice,0.5,ok",
        "P1,P1,organ,iou,0.3333333333333333,ok",
        "P1,P1,organ,reference_ml,2.0,ok",
        "P1,P1,organ,prediction_ml,1.5,ok",
        "P2,P2,organ,dice,,both_empty",
        "P2,P2,organ,iou,,both_empty",
        "P2,P2,organ,reference_ml,0.0,both_empty",
        "P2,P2,organ,prediction_ml,0.0,both_empty",
        "",
    ]


def test_no_field_is_a_formula_to_a_spreadsheet(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, ["case", "value"], [[name, -0.5] for name in (HOSTILE, "+1+1", "-2+3", "@SUM(A1)", "\tx", "ok")])
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))[1:]
    assert all(name[0] not in "=+-@\t\r" for name, _ in rows)
    assert {value for _, value in rows} == {"-0.5"}


@pytest.mark.parametrize("text", ["a", "", "'", "''", "=1", "'=1", "''=1", "-5", "+1e3", "-a", "'-5", "@", HOSTILE])
def test_guarding_loses_nothing(text):
    assert unguarded(guarded(text)) == text


def test_numbers_of_numpy_are_numbers(tmp_path):
    write_csv(tmp_path / "t.csv", ["a"], [[np.float64(0.1)], [np.int64(3)], [np.float32(0.5)], [None], [float("inf")]])
    assert (tmp_path / "t.csv").read_text() == 'a\n0.1\n3\n0.5\n""\ninf\n'


def test_volumes_without_a_reference(tmp_path):
    only = CaseScores("P1", "P", {}, {}, {"organ": 1.5, "tumour": 0.0})
    write_cases_csv(tmp_path / "cases.csv", [only])
    assert [plain(c) for c in read_cases_csv(tmp_path / "cases.csv")] == [plain(only)]
    assert labels_of(only) == ["organ", "tumour"]
    assert (status_in(only, "organ"), status_in(only, "tumour")) == ("ok", "pred_empty")


def test_status_from_volumes_where_nothing_was_scored():
    def of(reference, prediction):
        return status_in(CaseScores("c", "p", {}, {"a": reference}, {"a": prediction}), "a")

    assert [of(1, 1), of(1, 0), of(0, 1), of(0, 0)] == ["ok", "pred_empty", "ref_empty", "both_empty"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "columns"),
        ("a,b\n", "columns"),
        ("case,patient,label,metric,value,status\nP1,P1,organ,dice,0.5,fine\n", "line 2"),
        ("case,patient,label,metric,value,status\nP1,P1,organ,dice,much,ok\n", "line 2"),
        ("case,patient,label,metric,value,status\nP1,P1\n", "line 2"),
        ('case,patient,label,metric,value,status\n"P1\n', "line"),
    ],
)
def test_another_table_is_refused_with_its_line(tmp_path, text, why):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(DataError, match=why):
        read_cases_csv(tmp_path / "cases.csv")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_cases_csv(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot read"):
        read_cases_csv(tmp_path / "bad.csv")


def test_a_score_that_is_infinite_survives_with_what_stands_in_for_it(tmp_path):
    scores = {"organ": {"hd": Score(float("inf"), "pred_empty", 80.5), "dice": Score(0.0, "pred_empty")}}
    far = CaseScores("P1", "P1", scores, {"organ": 1.0}, {"organ": 0.0})
    write_cases_csv(tmp_path / "cases.csv", [far])
    assert "P1,P1,organ,hd,inf,pred_empty\n" in (tmp_path / "cases.csv").read_text()
    assert "P1,P1,organ,diagonal_mm,80.5,pred_empty\n" in (tmp_path / "cases.csv").read_text()
    found = read_cases_csv(tmp_path / "cases.csv")[0]
    assert found.scores == far.scores
    assert found.mean("hd") == 80.5
