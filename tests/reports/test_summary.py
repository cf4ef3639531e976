import json

import pytest

from segtrain.core.files import read_json, write_json
from segtrain.core.scores import CaseScores, Score
from segtrain.reports.summary import summarise
from tests.reports.builders import absent, case, invented, missed


def test_numbers_by_hand():
    found = summarise([case("a", 0.5), case("b", 0.7), case("c", 0.9), absent("d")], failed=["e"])
    dice = found["labels"]["organ"]["dice"]
    assert (dice["n"], dice["n_undefined"], found["cases"], found["failed"]) == (3, 1, 4, ["e"])
    assert (dice["mean"], dice["median"], dice["std"]) == pytest.approx((0.7, 0.7, 0.2))
    assert 0.5 <= dice["ci95"][0] < 0.7 < dice["ci95"][1] <= 0.9
    assert found["mean"]["dice"] == pytest.approx(0.7)
    begin, end = (
        ["schema_version", "cases", "patients", "unit"],
        ["labels", "mean", "presence", "definitions", "failed"],
    )
    assert list(found) == begin + end
    assert list(dice) == ["mean", "median", "std", "ci95", "n", "n_undefined", "n_infinite"]


def test_a_missed_structure_pulls_the_mean_down_and_an_absent_one_does_not():
    alone = summarise([case("a", 0.8)])["mean"]["dice"]
    assert summarise([case("a", 0.8), absent("b")])["mean"]["dice"] == alone
    assert summarise([case("a", 0.8), missed("b")])["mean"]["dice"] == alone / 2


def test_the_diagonal_stands_in_for_an_infinite_distance():
    def one(name, score):
        return CaseScores(name, name, {"organ": {"hd95": score}}, {"organ": 1.0}, {"organ": 1.0})

    near, far = Score(2.0, "ok"), Score(float("inf"), "pred_empty", stand_in=100.0)
    found = summarise([one("a", near), one("b", near), one("c", far)])["labels"]["organ"]["hd95"]
    assert (found["mean"], found["median"], found["n"], found["n_infinite"]) == (104 / 3, 2.0, 3, 1)


def test_what_metrics_mean_is_passed_on():
    assert summarise([], definitions={"hd95": {"unit": "mm"}})["definitions"] == {"hd95": {"unit": "mm"}}


def test_presence_counts_add_up():
    scores = [case("a", 0.8), missed("b"), missed("c"), invented("d"), absent("e"), absent("f")]
    assert summarise(scores)["presence"]["organ"] == {
        "present": 3,
        "found": 1,
        "absent": 3,
        "false_alarms": 1,
        "false_positive_ml": 1.5,
        "false_negative_ml": 4.0,
    }


def test_the_mean_is_over_labels_of_their_means():
    def two(name, a, b):
        scores = {"a": {"dice": Score(a, "ok")}, "b": {"dice": Score(b, "ok" if b else "both_empty")}}
        return CaseScores(name, name, scores, {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 1.0})

    found = summarise([two("x", 0.4, None), two("y", 0.6, 0.9)])
    assert found["mean"]["dice"] == pytest.approx((0.5 + 0.9) / 2)


@pytest.mark.parametrize(
    "scores",
    [[], [absent("a")], [case("a", 0.5)], [case("a", float("inf")), case("b", 0.5)], [case("a", float("nan"))]],
)
def test_nothing_one_and_undefined_are_null_and_never_nan(tmp_path, scores):
    found = summarise(scores)
    write_json(tmp_path / "metrics.json", found)
    assert read_json(tmp_path / "metrics.json") == found
    assert "NaN" not in json.dumps(found)
    for metrics in found["labels"].values():
        assert metrics["dice"]["ci95"] is None
        assert metrics["dice"]["std"] is None


def test_patients_and_not_cases_make_the_interval():
    same = [case(f"c{i}", 0.1 * i, patient="P") for i in range(1, 8)]
    assert summarise(same)["labels"]["organ"]["dice"]["ci95"] is None


def test_the_seed_decides():
    scores = [case(f"c{i}", 0.9 - 0.03 * i**1.3) for i in range(9)]
    assert summarise(scores, seed=1) == summarise(scores, seed=1)


def test_volumes_without_a_reference_have_no_presence():
    found = summarise([CaseScores("a", "a", {}, {}, {"organ": 1.0})])
    assert found["labels"] == {"organ": {}}
    assert found["presence"]["organ"]["present"] == found["presence"]["organ"]["absent"] == 0


def test_what_intervals_are_over_is_told():
    known = summarise([case("a", 0.5, patient="P1"), case("b", 0.7, patient="P1"), case("c", 0.9, patient="P2")])
    assert (known["patients"], known["unit"]) == (2, "patient")
    unknown = summarise([case("a", 0.5), case("b", 0.7)])
    assert (unknown["patients"], unknown["unit"]) == (None, "case")
