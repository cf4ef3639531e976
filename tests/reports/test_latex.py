"""The table in LaTeX: whole, and safe whatever a loss is called."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from segtrain.recipes.sweep.status import Endings, with_endings
from segtrain.reports.latex import escaped, ranking_tex
from segtrain.statistics.comparison import Rules
from tests.reports.builders import HOSTILE
from tests.reports.comparisons import comparison, facts, report, rung

COMMAND = re.compile(r"\\[A-Za-z]+(\{\})?|\\[&%$#_{}]")


def table_of(text):
    rows = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0].strip().splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", row.removesuffix("\\\\"))] for row in rows]


def test_a_row_a_loss_and_a_column_a_metric():
    text = ranking_tex(report())
    rows = table_of(text)
    assert [row[1] for row in rows] == [r"\textbf{focal}", "dice", "boom"]
    assert rows[0][:8] == [
        "1",
        r"\textbf{focal}",
        "0.621",
        *rows[0][3:4],
        "+0.050",
        "+0.050 to +0.050",
        "0.016",
        "better",
    ]
    assert rows[1][4:] == ["", "", "", "baseline", "0.571"]
    assert rows[2][:5] == ["--", "boom", "--", "", "--"]
    assert rows[2][7] == "failed"
    assert {len(row) for row in rows} == {9}
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1]
    assert len(columns) == 9


def test_bold_is_for_a_clear_winner_only():
    close = comparison(dice=0.0, focal=0.001)
    assert "textbf" not in ranking_tex(report(("dice", "focal"), comparisons={"dice": close}))
    assert "textbf" not in ranking_tex(report(n=5))


def test_under_six_cases_the_verdict_says_which_are_too_few():
    text = ranking_tex(report(n=5, made=facts(patients_known=False, cases=5, patients=5)))
    assert "too few cases" in text
    assert "over 5 cases (2-fold" in text


@pytest.mark.parametrize("name", [HOSTILE, r"\input{secret}", "a & b % c $x^2$ #1 ~ {y}", "µ_é", "line\nbreak"])
def test_no_name_is_a_command_or_ends_a_cell(name):
    text = ranking_tex(report(("dice", name, "boom")))
    rows = table_of(text)
    assert {len(row) for row in rows} == {9}
    assert "\\input" not in text
    inside = rows[0][1].removeprefix("\\textbf{").removesuffix("}")
    rest = COMMAND.sub("", inside)
    assert not set(rest) & set("\\&%$#_{}~^\n")


def test_what_is_escaped_reads_as_it_was():
    assert escaped("a_b 50 % ±0.01 −3") == r"a\_b 50 \% $\pm$0.01 $-$3"


def test_without_a_metric_there_is_no_table():
    assert ranking_tex(report(comparisons={})) == "% no metric\n"


def test_what_was_dropped_and_what_found_nothing_have_a_word_of_their_own():
    known = Endings({}, {"gone": "hits nothing"}, (rung(),))
    found = with_endings(comparison(dice=0.0, gone=-0.5), known)
    names = ("dice", "gone", "focal")
    rows = table_of(ranking_tex(report(names, comparisons={"dice": found}, agreement=[])))
    assert [(row[1], row[7]) for row in rows] == [
        ("dice", "baseline"),
        ("gone", "worse (failed)"),
        ("focal", "dropped"),
    ]


def test_without_a_margin_the_caption_does_not_speak_of_equivalence():
    found = replace(comparison(dice=0.0, ce=0.1), rules=Rules(margin=None))
    assert "equivalent" not in ranking_tex(report(("dice", "ce"), comparisons={"dice": found}, agreement=[]))
