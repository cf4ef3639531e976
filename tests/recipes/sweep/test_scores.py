"""What each loss reached, case by case, read from the runs of a sweep."""

from __future__ import annotations

import pytest

from segtrain.core.scores import CaseScores, Score
from segtrain.recipes.sweep.scores import SweepScores
from tests.recipes.sweeps import FOLDS, begun, case, dice_of, runs, scores_of, write_run


@pytest.fixture
def sweep(tmp_path):
    return begun(tmp_path)


def test_seeds_are_averaged_within_a_case(sweep):
    for run in runs(sweep):
        write_run(run)
    values = scores_of(sweep).values("dice")
    assert values["dice_ce"]["P1_a"] == pytest.approx((0.72 + 0.82) / 2)
    assert list(values["dice_ce"]) == ["P0_a", "P0_b", "P1_a", "P2_a", "P3_a"]
    assert scores_of(sweep).patients == {name: name[:2] for fold in FOLDS for name in fold}


def test_a_case_counts_for_a_loss_once_every_seed_has_it(sweep):
    for run in runs(sweep):
        if (run.entry.label, run.fold, run.seed) != ("dice", 1, 1):
            write_run(run)
    values = scores_of(sweep).values("dice")
    assert list(values["dice"]) == list(FOLDS[0])
    assert len(values["dice_ce"]) == 5


def test_a_case_that_is_undefined_in_one_seed_is_that_of_the_other_and_in_both_is_undefined(sweep):
    def value(run, name):
        gone = name == "P2_a" or (name == "P3_a" and run.seed == 1)
        return None if gone else dice_of(run, name)

    for run in runs(sweep):
        write_run(run, value)
    values = scores_of(sweep).values("dice")["focal"]
    assert values["P2_a"] is None
    assert values["P3_a"] == pytest.approx(0.51)


def test_the_spread_over_seeds_is_that_of_their_means(sweep):
    for run in runs(sweep):
        write_run(run)
    assert scores_of(sweep).seed_sd("dice")["dice"] == pytest.approx(0.1 / 2**0.5)


def test_one_seed_has_no_spread(sweep):
    for run in runs(sweep):
        if run.seed == 0:
            write_run(run)
    assert scores_of(sweep).seed_sd("dice") == {}


def test_a_run_that_is_not_finished_does_not_count(sweep):
    run = runs(sweep)[0]
    write_run(run)
    run.folder.record.unlink()
    assert scores_of(sweep).values("dice") == {"dice_ce": {}, "dice": {}, "focal": {}}


def signed(*seeds):
    """Two losses, one fold, a case of each patient; `seeds`: volume errors of both losses in both cases."""
    found = {"a": {}, "b": {}}
    for seed, (a, b) in enumerate(seeds):
        for loss, errors in (("a", a), ("b", b)):
            found[loss][seed, 0] = [case(f"P{i}_x", 0.5, error=error) for i, error in enumerate(errors)]
    patients = {f"P{i}_x": f"P{i}" for i in range(2)}
    return SweepScores(("a", "b"), ("error",), tuple(range(len(seeds))), 1, found, patients, {"error": "zero"})


def test_the_spread_of_a_difference_is_that_of_its_means_over_seeds():
    found = signed(((1, 3), (0, 0)), ((1, 1), (1, 3)))  # differences of 2 and -1
    assert found.pair_seed_sd("error") == {
        ("a", "b"): pytest.approx(3 / 2**0.5),
        ("b", "a"): pytest.approx(3 / 2**0.5),
    }
    assert signed(((1, 3), (0, 0))).pair_seed_sd("error") == {}


def test_a_signed_metric_counts_by_its_size_everywhere():
    found = signed(((-1, -1), (0, 0)), ((1, 1), (0, 0)))
    assert found.seed_sd("error")["a"] == 0.0
    assert found.values("error")["a"] == {"P0_x": 1.0, "P1_x": 1.0}
    assert found.by_label("error").values["a"]["organ"] == {"P0_x": 1.0, "P1_x": 1.0}
    both = {"P0_x": 1.0, "P1_x": 1.0}
    assert found.by_fold("error").by_loss["a"] == {"0/0": both, "1/0": both}


def test_only_cases_that_all_seeds_have_tell_how_seeds_vary():
    found = signed(((1, None), (0, 0)), ((2, 9), (0, 0)))
    assert found.seed_sd("error")["a"] == pytest.approx(0.5**0.5)


def test_labels_have_the_values_and_volumes_of_their_cases(sweep):
    for run in runs(sweep):
        write_run(run)
    found = scores_of(sweep).by_label("dice")
    assert found.labels == ("organ",)
    assert found.values["dice"]["organ"]["P1_a"] == pytest.approx((0.82 + 0.92) / 2)
    assert found.reference_ml == {"organ": {name: 2.0 for fold in FOLDS for name in fold}}


def test_patients_are_known_where_one_has_another_name_than_its_case(sweep):
    for run in runs(sweep):
        write_run(run)
    assert scores_of(sweep).patients_known
    assert not SweepScores((), (), (), 1, {}, {"a": "a"}, {}).patients_known


def test_one_label_too_large_does_not_make_up_for_one_too_small():
    case = CaseScores("c", "c", {"x": {"error": Score(0.5, "ok")}, "y": {"error": Score(-0.5, "ok")}}, {}, {})
    scores = SweepScores(("a",), ("error",), (0,), 1, {"a": {(0, 0): [case]}}, {"c": "c"}, {"error": "zero"})
    assert scores.values("error") == {"a": {"c": 0.5}}


def absent(status, value=None):
    """A case without a reference of its one label."""
    return CaseScores("c", "c", {"x": {"dice": Score(value, status)}}, {}, {})


def test_what_is_drawn_where_nothing_is_does_not_take_the_case_out_of_the_comparison():
    """Else who invents a structure loses nothing by it: the case would be undefined for who is right."""
    right, wrong = absent("both_empty"), absent("ref_empty", 0.0)
    runs_of = {"right": {(0, 0): [right], (1, 0): [right]}, "wrong": {(0, 0): [right], (1, 0): [wrong]}}
    scores = SweepScores(("right", "wrong"), ("dice",), (0, 1), 1, runs_of, {"c": "c"}, {"dice": "higher"})
    assert scores.values("dice") == {"right": {"c": 1.0}, "wrong": {"c": 0.5}}
    assert scores.by_label("dice").values["wrong"]["x"] == {"c": 0.5}


def test_a_case_in_which_nobody_draws_what_is_not_there_says_nothing():
    runs_of = {"right": {(0, 0): [absent("both_empty")]}}
    scores = SweepScores(("right",), ("dice",), (0,), 1, runs_of, {"c": "c"}, {"dice": "higher"})
    assert scores.values("dice") == {"right": {"c": None}}


def test_a_metric_that_says_nothing_of_an_absent_structure_stays_undefined():
    """Sensitivity has no value without a reference, whatever is drawn."""
    runs_of = {"a": {(0, 0): [absent("both_empty")]}, "b": {(0, 0): [absent("ref_empty")]}}
    scores = SweepScores(("a", "b"), ("dice",), (0,), 1, runs_of, {"c": "c"}, {"dice": "higher"})
    assert scores.values("dice") == {"a": {"c": None}, "b": {"c": None}}
