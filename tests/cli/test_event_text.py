"""Epochs, validations and cases in words."""

from __future__ import annotations

import pytest

from segtrain.cli.event_text import case_scores, clock, epoch_text, validation_text
from segtrain.core.events import CaseScored, EpochEnded, Validated
from segtrain.core.scores import CaseScores, Score


def test_of_a_case_those_metrics_are_told_that_all_labels_have() -> None:
    liver, cyst = {"dice": Score(0.5, "ok"), "hd95": Score(2.0, "ok")}, {"dice": Score(None, "both_empty")}
    told = CaseScores("a", "p", {"liver": liver, "cyst": cyst}, {}, {})
    assert case_scores(CaseScored("a", 1, 1, told)) == "dice 0.500"
    assert case_scores(CaseScored("a", 1, 1, CaseScores("a", "p", {}, {}, {}))) == "predicted"


def test_a_few_labels_are_told_one_by_one_and_many_are_not() -> None:
    few = Validated(1, {"dice": 0.5}, True, {"liver": 0.75, "cyst": None})
    assert validation_text(few) == "dice 0.500  (liver 0.750, cyst -)  (best)"
    many = Validated(1, {"dice": 0.5}, False, {f"organ {n}": 0.5 for n in range(20)})
    assert validation_text(many) == "dice 0.500"
    assert validation_text(Validated(1, {"dice": 0.5}, False, {"liver": 0.5})) == "dice 0.500"


def test_steps_that_changed_nothing_are_told() -> None:
    assert epoch_text(EpochEnded(1, 2, 2, 0.75, 1e-3, 6.0, 2)).endswith("6.0 s  2 steps not finite")
    assert epoch_text(EpochEnded(1, 2, 2, 0.75, 1e-3, None)).endswith("lr 0.001")


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (61.4, "1:01"), (3599.6, "1:00:00"), (90061, "25:01:01")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
