"""What was dropped is told with its numbers, and drawn."""

from __future__ import annotations

from segtrain.reports.comparison_view import comparison_view
from segtrain.reports.contents import Halving
from segtrain.reports.halving_view import HALVING_COLUMNS, drop_sentence, halving_rows, halving_view, trained_until
from segtrain.reports.page import write_comparison_report
from segtrain.reports.shown_metric import shown_metrics
from segtrain.statistics.elimination import Elimination
from tests.reports.builders import HOSTILE
from tests.reports.comparisons import report, rung

(DICE,) = shown_metrics(["dice"])


def test_a_row_a_rung_and_loss_with_what_was_not_judged():
    rungs = [rung(not_judged={"boom": "boom, fold 0, seed 0 diverged"}), rung(epoch=12, dropped=())]
    rows = [dict(zip(HALVING_COLUMNS, row, strict=True)) for row in halving_rows(rungs)]
    assert [(row["epoch"], row["loss"], row["decision"]) for row in rows] == [
        (6, "dice", "leader"),
        (6, "ce", "kept"),
        (6, "focal", "dropped"),
        (6, "boom", "not judged"),
        (12, "dice", "leader"),
        (12, "ce", "kept"),
    ]
    assert rows[2] | {"behind": 0.1, "low": 0.05, "p_corrected": 0.018, "leader": "dice", "patients": 12} == rows[2]
    assert rows[3] | {"mean": None, "why": "boom, fold 0, seed 0 diverged"} == rows[3]


def test_a_sentence_says_when_behind_whom_and_how_sure():
    found = rung()
    said = drop_sentence(found, found.found.standings[2])
    assert said == "at epoch 6 of 24: behind dice by 0.100 (+0.050 to +0.150), corrected p 0.018"


def test_the_view_speaks_of_cases_where_patients_are_not_known():
    few = rung()
    few = Halving((type(few)(6, 24, "dice", 6, Elimination((), 5, 0, "with 5 patients nobody is dropped"), {}),), 0.0)
    (shown,) = halving_view(few, DICE, "case")["rungs"]
    assert shown["why"] == "with 5 cases nobody is dropped"
    assert (shown["people"], shown["comparisons"]) == ("5 cases", "6 comparisons")
    assert halving_view(few, DICE, "case")["nobody"]


def test_the_picture_ends_where_a_loss_was_dropped():
    plot = trained_until(Halving((rung(), rung(epoch=12, dropped=("x",))), 0.3), ["dice", "focal", "ce", "x"])
    assert plot.alt == "Losses dropped before epoch 24: focal after 6, x after 12"
    widths = [bar.get_width() for bar in plot.figure.axes[0].patches]
    assert widths == [24, 24, 12, 6]
    assert trained_until(Halving((), 0.0), ["dice"]) is None


def test_the_page_has_a_section_of_it_and_escapes_what_comes_from_outside(tmp_path):
    halving = Halving((rung(not_judged={HOSTILE: f"{HOSTILE} diverged"}),), 0.25)
    write_comparison_report(tmp_path / "report.html", report(halving=halving))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What was dropped, and when" in page
    assert "25 % of the steps" in page
    assert "so the three are not the same numbers" in page
    assert HOSTILE not in page
    assert comparison_view(report())["halving"] is None
