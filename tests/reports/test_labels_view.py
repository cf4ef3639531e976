from math import inf

import pytest

from segtrain.core.scores import CaseScores, Score
from segtrain.reports.labels_view import labels_worst_first, one_by_one, overall, overview, presence_rows, totals_of
from segtrain.reports.shown_metric import shown_metrics
from segtrain.reports.summary import summarise
from tests.reports.builders import absent, case, invented, many, missed

DICE, IOU, HD95 = shown_metrics(["dice", "iou", "hd95"])


def overview_of(scores, metrics):
    summary = summarise(scores)
    return overview(summary, metrics, totals_of(scores, summary, metrics))


def each(scores, metrics):
    summary = summarise(scores)
    return one_by_one(scores, summary, metrics, totals_of(scores, summary, metrics))


def test_means_stand_with_both_denominators_worst_label_first():
    scores = [many("a", [0.9, 0.2]), many("b", [0.8, 0.3])]
    found = overview_of(scores, [DICE, IOU])
    assert found["head"] == [DICE, IOU]
    assert [row["label"] for row in found["rows"]] == ["l1", "l0", None]
    dice, iou = found["rows"][0]["cells"]
    assert (dice["mean"], dice["interval"], dice["defined"]) == ("0.250", "0.200 to 0.300", "2 / 2")
    assert iou["mean"] == "–"
    assert found["rows"][2]["cells"][0]["mean"] == "0.550"


def test_one_label_needs_no_mean_over_labels():
    scores = [case("a", 0.5), absent("b")]
    (row,) = overview_of(scores, [DICE])["rows"]
    assert (row["label"], row["cells"][0]["defined"]) == ("organ", "1 / 2")


def test_the_label_with_the_largest_distance_is_the_worst():
    scores = [many("a", [1.0, 30.0], "hd95")]
    assert labels_worst_first(summarise(scores), HD95) == ["l1", "l0"]


def test_each_metric_by_itself_counts_misses_that_have_a_value():
    scores = [case("a", 0.5), missed("b"), invented("c"), absent("d")]
    first, second = each(scores, [DICE, IOU])
    assert first["metric"] is DICE
    assert first["has_one_sided"]
    (row,) = first["rows"]
    assert (row["one_sided"], row["defined"], row["mean"], row["median"]) == ("2", "3 / 4", "0.167", "0.000")
    assert second["drawing"].alt.startswith("IoU of every case")


def test_an_infinite_distance_counts_as_the_diagonal():
    scores = [many("a", [2.0], "hd95")]
    scores.append(CaseScores("b", "b", {"l0": {"hd95": Score(inf, "pred_empty", 100.0)}}, {"l0": 1.0}, {"l0": 0.0}))
    (found,) = each(scores, [HD95])
    assert (found["mean"], found["rows"][0]["one_sided"]) == ("51.00", "1")
    assert overall(scores, HD95)[0].mean == pytest.approx(51.0)


def test_the_overall_mean_is_that_of_the_summary():
    scores = [case("a", 0.5), case("b", 0.9), absent("c"), case("d", 0.2, label="other")]
    found, total = overall(scores, DICE)
    assert found.mean == pytest.approx(summarise(scores)["mean"]["dice"])
    assert (found.n_values, total) == (3, 4)


def test_presence_in_words():
    rows = presence_rows(summarise([case("a", 0.5), missed("b"), invented("c"), absent("d")]))
    assert rows == [
        {"label": "organ", "found": "1 / 2", "false_alarms": "1 / 2", "missed_ml": "2.000", "invented_ml": "1.500"}
    ]
