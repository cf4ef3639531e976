import pytest

from segtrain.core.scores import CaseScores, Score
from segtrain.reports.cases_view import (
    MOST_CASE_ROWS,
    MOST_LABEL_COLUMNS,
    cards_of,
    case_table,
    label_rows,
    overall,
    presence_rows,
    volume_table,
    worst_cases,
)
from segtrain.reports.summary import summarise
from tests.reports.builders import absent, case, invented, missed


def many(name, values, metric="dice"):
    scores = {f"l{i}": {metric: Score(v, "ok")} for i, v in enumerate(values)}
    return CaseScores(name, name, scores, dict.fromkeys(scores, 1.0), dict.fromkeys(scores, 1.0))


def test_the_worst_come_first_and_the_undefined_are_not_among_them():
    scores = [case("good", 0.9), absent("absent"), missed("missed"), case("fair", 0.6)]
    assert worst_cases(scores, "dice") == ["missed", "fair", "good"]
    assert worst_cases(scores, "dice", n=1) == ["missed"]
    assert worst_cases([], "dice") == []
    assert worst_cases(scores, "unheard of") == []


def test_worst_is_what_the_metric_calls_so():
    scores = [many("over", [0.9], "relative_volume_error"), many("under", [-0.5], "relative_volume_error")]
    assert worst_cases(scores, "relative_volume_error") == ["over", "under"]


def test_each_status_has_its_word_and_shares_have_a_bar():
    scores = [case("a", 0.9), missed("b"), invented("c"), absent("d")]
    rows = {row["case"]: row["cells"][0] for row in case_table(scores, ["dice", "iou"])["rows"]}
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
    table = case_table([many("a", [0.5] * labels), many("b", [0.4] * (labels - 1) + [0.1])], ["dice"])
    assert all(len(row["cells"]) == len(table["head"]) for row in table["rows"])
    if labels > MOST_LABEL_COLUMNS:
        assert table["rows"][0]["cells"][-1].text == f"l{labels - 1} 0.100"


def test_a_long_table_says_what_it_hides():
    table = case_table([case(f"c{i:04d}", 0.5) for i in range(MOST_CASE_ROWS + 3)], ["dice"])
    assert (len(table["rows"]), table["hidden"]) == (MOST_CASE_ROWS, 3)


def test_means_stand_with_both_denominators_worst_label_first():
    scores = [many("a", [0.9, 0.2]), many("b", [0.8, 0.3])]
    rows = label_rows(summarise(scores), ["dice", "iou"])
    assert [row["label"] for row in rows] == ["l1", "l0"]
    assert rows[0]["cells"][0] == {
        "mean": "0.250",
        "interval": "0.200 to 0.300",
        "median": "0.250",
        "std": "0.071",
        "defined": "2 / 2",
    }
    assert rows[0]["cells"][1]["mean"] == "–"


def test_the_overall_mean_is_that_of_the_summary():
    scores = [case("a", 0.5), case("b", 0.9), absent("c"), case("d", 0.2, label="other")]
    found, total = overall(scores, "dice")
    assert found.mean == pytest.approx(summarise(scores)["mean"]["dice"])
    assert (found.n_values, total) == (3, 4)


def test_presence_and_volumes_in_words():
    rows = presence_rows(summarise([case("a", 0.5), missed("b"), invented("c"), absent("d")]))
    assert rows == [
        {"label": "organ", "found": "1 / 2", "false_alarms": "1 / 2", "missed_ml": "2.000", "invented_ml": "1.500"}
    ]
    assert volume_table([CaseScores("a", "a", {}, {}, {"organ": 12.0})])["rows"][0]["cells"][0].text == "12.00"


def test_only_known_metrics_have_a_definition():
    assert [card.name for card in cards_of(["dice", "mine.py:Own"])] == ["dice"]
