"""A loss that ends without an answer has failed, whatever its scores; one that was dropped keeps a row."""

from __future__ import annotations

import pytest

from segtrain.core.scores import CaseScores, Score
from segtrain.recipes.sweep.scores import SweepScores
from segtrain.recipes.sweep.status import Endings, found_nothing, with_endings, without_end
from tests.reports.comparisons import comparison, rung


def case(name, dice=None, drawn_ml=5.0, metric="dice"):
    scores = {"organ": {metric: Score(dice, "ok" if dice is not None else "both_empty")}}
    return CaseScores(name, name, scores, {"organ": 10.0}, {"organ": drawn_ml})


def scores(runs, metric="dice"):
    """Loss -> a list of cases a fold."""
    by_run = {loss: {(0, fold): cases for fold, cases in enumerate(folds)} for loss, folds in runs.items()}
    return SweepScores(tuple(runs), (metric,), (0,), 1, by_run, {}, {metric: "higher"})


def test_a_loss_with_hardly_any_overlap_in_every_run_finds_nothing():
    found = found_nothing(
        scores({"gone": [[case("a", 0.0), case("b", 0.012)], [case("c", 0.002)]], "well": [[case("a", 0.5)]]})
    )
    assert found == {"gone": "hits nothing: mean Dice at most 0.006 in 2 runs"}


def test_one_run_that_finds_something_is_enough():
    assert found_nothing(scores({"lucky": [[case("a", 0.0)], [case("b", 0.4)]]})) == {}


@pytest.mark.parametrize(("drawn_ml", "failed"), [(0.0, True), (0.05, True), (0.2, False)])
def test_without_dice_the_volume_tells(drawn_ml, failed):
    runs = {"gone": [[case("a", 20.0, drawn_ml, "hd95")], [case("b", 9.0, 0.0, "hd95")]]}
    assert bool(found_nothing(scores(runs, "hd95"))) is failed


def test_where_nothing_was_to_be_found_nobody_failed():
    empty = CaseScores("a", "a", {"organ": {"dice": Score(None, "both_empty")}}, {"organ": 0.0}, {"organ": 0.0})
    assert found_nothing(scores({"right": [[empty]], "not done": []})) == {}


def test_who_found_nothing_has_failed_and_keeps_numbers_rank_and_tests():
    before = comparison(dice=0.0, gone=-0.5)
    after = with_endings(before, Endings({}, {"gone": "hits nothing: mean Dice at most 0.000 in 2 runs"}, ()))
    last = after.ranking[-1]
    assert (last.loss, last.status, last.rank) == ("gone", "failed", 2)
    assert last.reason.startswith("hits nothing")
    assert last.mean == before.ranking[-1].mean
    assert after.pairs == before.pairs
    assert after.pairs[0].verdict == "worse"


def test_who_was_dropped_has_a_row_before_those_without_a_result():
    found = with_endings(
        comparison(dice=0.0, ce=0.1, boom=None), Endings({"boom": "boom, fold 0, seed 0 diverged"}, {}, (rung(),))
    )
    assert [(row.loss, row.status) for row in found.ranking] == [
        ("ce", "ok"),
        ("dice", "ok"),
        ("focal", "dropped"),
        ("boom", "failed"),
    ]
    assert found.ranking[2].reason == "at epoch 6 of 24: behind dice by 0.100 (+0.050 to +0.150), corrected p 0.018"
    assert found.ranking[3].reason == "boom, fold 0, seed 0 diverged"
    assert found.finished == ("ce", "dice", "boom")


def test_who_has_no_run_that_ended_has_not_failed_unless_it_diverged():
    left = without_end(scores({"dice": [[case("a", 0.5)]], "boom": [], "waits": []}))
    assert left == ("boom", "waits")
    known = Endings({"boom": "boom, fold 0, seed 0 diverged"}, {}, (), left)
    found = with_endings(comparison(dice=0.0, boom=None, waits=None), known)
    assert {row.loss: (row.status, row.reason) for row in found.ranking} == {
        "dice": ("ok", ""),
        "boom": ("failed", "boom, fold 0, seed 0 diverged"),
        "waits": ("incomplete", "none of its runs has ended"),
    }


def test_who_was_dropped_last_stands_first():
    rungs = (rung(dropped=("a", "b")), rung(epoch=12, dropped=("c",)))
    found = with_endings(comparison(dice=0.0, ce=0.1), Endings({}, {}, rungs))
    assert [row.loss for row in found.ranking] == ["ce", "dice", "c", "a", "b"]
