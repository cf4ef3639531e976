from math import inf

import pytest

from segtrain.reports.shown_metric import shown_metrics

RECORDED = {
    "mine.py:Gap": {"definition": "The widest gap.", "unit": "mm", "best": "lower", "version": 3},
    "dice": {"definition": "As it was defined then.", "unit": "", "best": "higher", "version": 7},
}


def only(key, recorded=None):
    (metric,) = shown_metrics([key], recorded)
    return metric


def test_a_known_metric():
    dice = only("dice")
    assert (dice.name, dice.heading, dice.arrow, dice.direction) == ("Dice", "Dice", "↑", "higher is better")
    assert dice.is_share
    assert not dice.more_is_worse
    assert dice.facts == "higher is better · from 0 to 1 · missed or invented: 0"
    assert dice.text(0.87312) == "0.873"
    assert only("jaccard").definition == only("iou").definition


def test_a_distance_has_its_unit_and_is_worse_the_larger():
    hd95 = only("hd95")
    assert (hd95.heading, hd95.direction) == ("HD95 (mm)", "lower is better")
    assert (hd95.text(3.14159), hd95.text(inf), hd95.interval(1.0, 2.5)) == ("3.14", "∞", "1.00 to 2.50")
    assert hd95.badness(3.0) > hd95.badness(2.0)
    assert "missed or invented: ∞" in hd95.facts


def test_an_error_is_best_at_0_and_has_a_sign():
    error = only("relative_volume_error")
    assert (error.text(0.1), error.text(-0.1), error.text(0.0)) == ("+0.100", "−0.100", "0.000")
    assert error.interval(-0.1, 0.2) == "−0.100 to +0.200"
    assert error.interval(None, None) == ""
    assert error.spread_text(0.1) == "0.100"
    assert error.badness(-0.5) > error.badness(0.3)
    assert error.facts == "best at 0 · from −1 to ∞ · missed: −1 · invented: not defined"


def test_what_was_written_down_comes_before_what_is_known_today():
    assert only("dice", RECORDED).definition == "As it was defined then."
    assert only("dice", RECORDED).facts.endswith("version 7")
    assert only("dice", RECORDED).is_share


def test_somebodys_own_metric_is_known_from_the_record():
    gap = only("mine.py:Gap", RECORDED)
    assert gap.heading == "mine.py:Gap (mm)"
    assert gap.more_is_worse
    assert gap.facts == "lower is better · version 3"


@pytest.mark.parametrize("recorded", [None, {}])
def test_an_unknown_metric_is_a_number_of_which_more_is_better(recorded):
    own = only("mine.py:Own", recorded)
    assert (own.definition, own.direction, own.arrow, own.facts) == ("", "", "", "")
    assert own.badness(1.0) < own.badness(0.0)
    assert own.text(0.5) == "0.500"
