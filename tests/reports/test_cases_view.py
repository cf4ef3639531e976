import pytest

from segtrain.core.scores import CaseScores
from segtrain.reports.cases_view import (
    MOST_CASE_ROWS,
    MOST_LABEL_COLUMNS,
    case_table,
    metrics_in,
    patients_known,
    volume_table,
    worst_cases,
)
from segtrain.reports.shown_metric import shown_metrics
from tests.reports.builders import absent, case, invented, many, missed

DICE, IOU, HD95, ERROR, OWN = shown_metrics(["dice", "iou", "hd95", "relative_volume_error", "unheard of"])


def test_the_worst_come_first_and_the_undefined_are_not_among_them():
    scores = [case("good", 0.9), absent("absent"), missed("missed"), case("fair", 0.6)]
    assert worst_cases(scores, DICE) == ["missed", "fair", "good"]
    assert worst_cases(scores, DICE, n=1) == ["missed"]
    assert worst_cases([], DICE) == []
    assert worst_cases(scores, OWN) == []


def test_worst_is_what_the_metric_calls_so():
    scores = [many("over", [0.9], "relative_volume_error"), many("under", [-0.5], "relative_volume_error")]
    assert worst_cases(scores, ERROR) == ["over", "under"]


def test_one_label_too_large_does_not_make_up_for_another_too_small():
    scores = [many("fair", [0.1, 0.1], "relative_volume_error"), many("wild", [0.9, -0.9], "relative_volume_error")]
    assert worst_cases(scores, ERROR) == ["wild", "fair"]
    assert case_table(scores, [ERROR])["rows"][0]["cells"][0].text == "0.000", "what is shown is the signed mean"


def test_the_largest_distance_is_the_worst():
    assert worst_cases([many("near", [1.0], "hd95"), many("far", [9.0], "hd95")], HD95) == ["far", "near"]


def test_metrics_come_in_the_order_of_the_scores():
    assert metrics_in([many("a", [1.0], "hd95"), case("b", 0.5)]) == ["hd95", "dice", "iou"]
    assert metrics_in([]) == []


def test_patients_are_shown_where_they_are_known():
    assert not patients_known([case("a", 0.5)])
    assert not case_table([case("a", 0.5)], [DICE])["has_patients"]
    assert case_table([case("a", 0.5, patient="P")], [DICE])["has_patients"]


def test_a_distance_has_no_bar_and_its_unit_in_the_heading():
    table = case_table([many("a", [1.234], "hd95")], [HD95])
    assert table["head"] == ["l0 HD95 (mm)"]
    (cell,) = table["rows"][0]["cells"]
    assert (cell.text, cell.share) == ("1.23", None)


def test_each_status_has_its_word_and_shares_have_a_bar():
    scores = [case("a", 0.9), missed("b"), invented("c"), absent("d")]
    rows = {row["case"]: row["cells"][0] for row in case_table(scores, [DICE, IOU])["rows"]}
    assert {name: (cell.text, cell.word) for name, cell in rows.items()} == {
        "a": ("0.900", ""),
        "b": ("0.000", "missed"),
        "c": ("0.000", "false alarm"),
        "d": ("–", "absent"),
    }
    assert rows["a"].share == 0.9
    assert rows["d"].share is None


@pytest.mark.parametrize("labels", [1, 2, MOST_LABEL_COLUMNS, MOST_LABEL_COLUMNS + 1])
def test_every_row_fills_the_heading(labels):
    table = case_table([many("a", [0.5] * labels), many("b", [0.4] * (labels - 1) + [0.1])], [DICE])
    assert all(len(row["cells"]) == len(table["head"]) for row in table["rows"])
    if labels > MOST_LABEL_COLUMNS:
        assert table["rows"][0]["cells"][-1].text == f"l{labels - 1} 0.100"


def test_a_long_table_says_what_it_hides():
    table = case_table([case(f"c{i:04d}", 0.5) for i in range(MOST_CASE_ROWS + 3)], [DICE])
    assert (len(table["rows"]), table["hidden"]) == (MOST_CASE_ROWS, 3)


def test_volumes_in_words():
    assert volume_table([CaseScores("a", "a", {}, {}, {"organ": 12.0})])["rows"][0]["cells"][0].text == "12.00"
