"""Sentences computed from verdicts, and cautions from seeds and curves."""

from __future__ import annotations

import pytest

from segtrain.reports.findings import clear_winner, finding, needed, training_cautions, verdict_word
from segtrain.statistics.comparison import Rules, compare
from tests.reports.comparisons import comparison, facts

FLAT = [(1, 0.5), (2, 0.4)]
RISING = [(1, 0.4), (2, 0.5)]


def cautions(*curves, more_is_better=True, **changes):
    return " ".join(training_cautions(facts(**changes), curves, more_is_better=more_is_better))


def test_the_finding_is_made_of_the_verdicts():
    found = comparison(dice=0.0, focal=0.1, ce=-0.1, iou=0.002, boom=None)
    assert finding(found, "Dice", "patient") == (
        "By Dice, focal is better than dice; ce is worse than dice; iou is within ±0.01 of dice; "
        "no comparison with dice for boom: failed."
    )


@pytest.mark.parametrize("unit", ["patient", "case"])
def test_under_six_patients_there_is_no_verdict(unit):
    text = finding(comparison(n=5, dice=0.0, focal=0.4), "Dice", unit)
    assert text.startswith(f"No verdict: with 5 {unit}s")


def test_nothing_to_compare():
    assert finding(comparison(dice=0.0), "Dice", "patient") == "By Dice, there is nothing to compare."


def test_bold_is_for_a_clear_winner_only():
    assert clear_winner(comparison(dice=0.0, focal=0.1)) == "focal"
    assert clear_winner(comparison(dice=0.1, focal=0.0)) == "dice"
    assert clear_winner(comparison(dice=0.0, focal=0.001)) is None
    assert clear_winner(comparison(n=5, dice=0.0, focal=0.4)) is None
    assert clear_winner(comparison(dice=0.0, boom=None)) is None


def test_a_verdict_names_what_is_counted():
    assert verdict_word("too few patients", "case") == "too few cases"
    assert verdict_word("not decided", "case") == "not decided"


def test_where_all_is_decided_no_more_patients_are_asked_for():
    assert needed(comparison(dice=0.0, focal=0.1), "patient") == ""


def test_one_seed_measures_no_noise_of_seeds():
    assert "was not measured" in cautions(seeds=(0,))
    assert "Two seeds" in cautions(seeds=(0, 1))
    assert cautions() == ""


def test_short_trainings_are_called_short():
    assert "(6 epochs, 36 steps in all)" in cautions(steps=(36,))
    assert cautions(steps=(1000,)) == cautions(steps=()) == ""


def test_losses_that_still_improve_are_counted():
    assert "2 of 3 losses were still improving" in cautions(RISING, RISING, FLAT)
    assert cautions(RISING, FLAT, FLAT) == ""
    assert "1 of 1" in cautions(FLAT, more_is_better=False)
    assert cautions([], [(1, 0.5)]) == ""


def test_without_a_margin_nobody_speaks_of_equivalence():
    scores = {
        "dice": {f"c{i}": 3.0 + i for i in range(8)},
        "ce": {f"c{i}": 3.0 + i + 0.1 * (-1) ** i for i in range(8)},
    }
    found = compare(scores, {f"c{i}": f"c{i}" for i in range(8)}, "dice", 0, Rules(margin=None, draws=200))
    assert finding(found, "HD95", "patient") == "By HD95, ce is neither better nor worse than dice."
    assert needed(found, "patient") == ""
