from dataclasses import replace

import numpy as np
import pytest

from segtrain.core.errors import ConfigError
from segtrain.statistics.comparison import Rules, compare
from segtrain.statistics.folds import FoldScores, corrected_test
from tests.faults.table import fault


def table(n=20, seed=0, **shifts):
    """Loss -> case -> value: a common difficulty per case, a shift per loss."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 0.85, n)
    return {
        loss: {f"c{i:03d}": float(v) for i, v in enumerate(base + shift + rng.normal(0, 0.005, n))}
        for loss, shift in shifts.items()
    }


def owners(scores):
    return {case: case for values in scores.values() for case in values}


def run(scores, baseline="dice", **rules):
    return compare(scores, owners(scores), baseline, 0, Rules(**{"draws": 2000, **rules}))


def words(found):
    return {row.a: row.verdict for row in found.against_baseline}


def test_better_worse_equivalent():
    found = run(table(dice=0, focal=-0.1, tversky=0.05, ce=0.001))
    assert words(found) == {"tversky": "better", "ce": "equivalent", "focal": "worse"}
    assert [r.loss for r in found.ranking] == ["tversky", "ce", "dice", "focal"]
    assert [r.rank for r in found.ranking] == [1, 2, 3, 4]
    best = found.against_baseline[0]
    assert best.a == "tversky"
    assert best.effect == pytest.approx(1)
    assert best.p_superior == 1
    assert len(found.pairs) == 6


@fault("F29", "a loss that is the baseline again", then="0, p is 1, no difference")
def test_the_baseline_against_its_twin():
    scores = table(dice=0)
    found = run({**scores, "twin": dict(scores["dice"])})
    (row,) = found.pairs
    assert (row.difference, row.low, row.high, row.p, row.p_holm, row.verdict) == (0, 0, 0, 1, 1, "equivalent")
    assert [r.rank for r in found.ranking] == [1.5, 1.5]


@pytest.mark.parametrize("failure", [{}, {"c000": None, "c001": None}, {"c000": float("nan")}])
def test_a_failed_loss_keeps_its_row_and_spoils_no_other(failure):
    scores = table(dice=0, focal=-0.1)
    alone = run(scores)
    found = run({**scores, "boom": failure})
    last = found.ranking[-1]
    assert (last.loss, last.status, last.mean, last.rank, last.n, last.n_total) == ("boom", "failed", None, None, 0, 20)
    assert words(found) == {"focal": "worse", "boom": "failed"}
    assert found.pairs[0] == replace(alone.pairs[0], p_holm=2 * alone.pairs[0].p)  # as if it was not rejected
    assert found.n_common == 20


def test_a_failed_baseline():
    found = run({**table(focal=0, ce=-0.1), "dice": {}})
    assert set(words(found).values()) == {"failed"}
    assert {p.verdict for p in found.pairs if p.b != "dice"} == {"better"}


def test_an_undefined_case_is_undefined_for_the_pair_and_counted():
    scores = table(dice=0, focal=0.1)
    scores["focal"]["c003"] = None
    found = run(scores)
    (row,) = found.pairs
    assert (row.n_cases, row.n_undefined, found.n_common, found.n_cases) == (19, 1, 19, 20)
    assert {r.loss: (r.n, r.n_total, r.status) for r in found.ranking} == {
        "focal": (19, 20, "ok"),
        "dice": (20, 20, "ok"),
    }


def test_a_loss_that_lacks_cases_is_marked():
    scores = table(dice=0, focal=0.1)
    for case in list(scores["focal"])[:5]:
        del scores["focal"][case]
    assert {r.loss: r.status for r in run(scores).ranking} == {"focal": "incomplete", "dice": "ok"}


def test_a_loss_that_lacks_a_hard_case_does_not_come_first_for_it():
    scores = table(dice=0, focal=-0.02)
    hard = dict.fromkeys(scores, 0.0)
    scores = {loss: {**values, "hard": hard[loss]} for loss, values in scores.items()}
    scores["focal"]["hard"] = None
    first, second = run(scores).ranking
    assert first.mean < second.mean
    assert [(r.loss, r.rank) for r in (first, second)] == [("dice", 1), ("focal", 2)]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_patients_have_no_verdict(n):
    found = run(table(n=n, dice=0, focal=0.3, ce=-0.3))
    assert set(words(found).values()) == {"too few patients"}


def test_patients_are_the_unit():
    scores = table(n=40, dice=0, focal=0.1)
    five = {case: f"P{int(case[1:]) % 5}" for case in scores["dice"]}
    found = compare(scores, five, "dice", 0, Rules(draws=500))
    assert (found.n_patients, found.pairs[0].n_patients, found.pairs[0].verdict) == (5, 5, "too few patients")


def test_losses_without_a_case_in_common():
    found = run({"dice": {"a": 0.5}, "focal": {"b": 0.6}})
    assert found.n_common == 0
    assert found.pairs[0].difference is None
    assert all(r.rank is None for r in found.ranking)


def test_the_seed_decides_and_lower_can_be_better():
    scores = table(dice=0, focal=-0.1)
    assert run(scores) == run(scores)
    found = run(scores, higher_is_better=False)
    assert words(found) == {"focal": "better"}
    assert found.ranking[0].loss == "focal"
    assert found.pairs[0].p_superior == 1


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ConfigError, match="baseline 'nope'"):
        run(table(dice=0), baseline="nope")


def test_equal_losses_are_rarely_called_different():
    """Calibration: 60 sweeps of 5 equal losses; the family-wise error is at most 5 % in the long run."""
    false = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        base = rng.uniform(0.4, 0.9, 12)
        scores = {
            loss: {f"c{i}": float(v) for i, v in enumerate(base + rng.normal(0, 0.05, 12))}
            for loss in ("dice", "a", "b", "c", "d")
        }
        false += bool({"better", "worse"} & set(words(run(scores, draws=200)).values()))
    assert false <= 7


def test_all_losses_against_all_by_friedman():
    found = run({**table(40, dice=0, focal=-0.1, tversky=0.05, ce=0.05), "boom": {}})
    assert found.compared == ("dice", "focal", "tversky", "ce")
    assert found.friedman.p < 1e-6
    ranks = dict(zip(found.compared, found.friedman.mean_ranks, strict=True))
    assert ranks["focal"] == 4
    assert [{found.compared[i] for i in group} for group in found.friedman.groups] == [{"tversky", "ce"}]
    assert run(table(dice=0, focal=-0.1)).friedman is None


def test_the_unit_of_friedman_is_the_patient():
    scores = table(dice=0, focal=-0.1, ce=0.02)
    pairs = {case: f"P{int(case[1:]) // 2}" for case in scores["dice"]}
    assert compare(scores, pairs, "dice", 0, Rules(draws=100)).friedman.n == 10


def test_how_often_each_loss_would_have_come_first():
    found = run(table(dice=0, focal=-0.1, tversky=0.05))
    assert {row.loss: row.first for row in found.ranking} == {"tversky": 1.0, "dice": 0.0, "focal": 0.0}
    assert found.places["dice"] == (0.0, 1.0, 0.0)


def test_folds_are_tested_beside_patients():
    scores = table(dice=0, focal=-0.1)
    ours = {f"0/{fold}": {f"c{fold:03d}": value} for fold, value in enumerate((0.7, 0.72, 0.69))}
    theirs = {f"0/{fold}": {f"c{fold:03d}": value} for fold, value in enumerate((0.6, 0.61, 0.6))}
    theirs["1/0"] = {"c000": 0.1}
    folds = FoldScores(3, {"dice": ours, "focal": theirs})
    found = compare(scores, owners(scores), "dice", 0, Rules(draws=100), folds).pairs[0]
    expected = corrected_test([-0.1, -0.11, -0.09], 3)
    assert (found.fold_p, found.fold_low) == pytest.approx((expected.p, expected.low))
    assert run(scores).pairs[0].fold_p is None


def test_dropped_losses_count_in_the_correction_as_if_they_were_not_rejected():
    scores = table(dice=0, focal=-0.1, ce=-0.2)
    whole, less = run(table(dice=0, focal=-0.1, ce=-0.2, gone=-0.5)), run(scores, dropped=1)
    corrected = {row.a: row.p_holm for row in less.against_baseline}
    raw = {row.a: row.p for row in less.against_baseline}
    assert corrected == {"focal": pytest.approx(3 * raw["focal"]), "ce": pytest.approx(3 * raw["ce"])}
    others = next(row for row in less.pairs if row.b != "dice")
    assert others.p_holm == pytest.approx(6 * others.p)  # six pairs of four losses
    assert [row.verdict for row in less.against_baseline] == [
        row.verdict for row in whole.against_baseline if row.a != "gone"
    ]


def test_losses_that_failed_count_in_the_correction_as_if_they_were_not_rejected():
    """A family that was named before the run is as large after it; else the others would look better for a failure."""
    raw = run(table(dice=0, focal=-0.1)).pairs[0].p
    scores = table(dice=0, focal=-0.1) | {"gone": {}, "lost": {}}
    (row,) = [row for row in run(scores).against_baseline if row.a == "focal"]
    assert (row.p, row.p_holm) == (pytest.approx(raw), pytest.approx(3 * raw))


def test_the_ranking_weighs_patients_as_the_tests_do():
    """One patient with many scans does not decide who comes first, and no pair contradicts the order."""
    patients = {f"c{i}": f"P{i}" if i < 12 else "P12" for i in range(24)}
    dice = {case: 0.8 + 0.001 * number for number, case in enumerate(patients)}
    focal = {case: value + (0.02 if patients[case] != "P12" else -0.2) for case, value in dice.items()}
    found = compare({"dice": dice, "focal": focal}, patients, "dice", 0, Rules(draws=200))
    assert sum(focal.values()) < sum(dice.values())
    first, second = found.ranking
    assert (first.loss, first.n) == ("focal", 24)
    assert first.mean - second.mean == pytest.approx((12 * 0.02 - 0.2) / 13)
    assert first.mean - second.mean == pytest.approx(found.pairs[0].difference)


def test_without_a_margin_nothing_is_equivalent_and_nobody_is_asked_for_more_patients():
    found = run(table(dice=0, ce=0.001), margin=None)
    assert [(row.verdict, row.patients_needed) for row in found.against_baseline] == [("not decided", None)]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_patients_and_a_value_that_is_no_number_keep_their_rows_without_a_verdict(n):
    scores = {loss: {f"c{i}": value for i in range(n)} for loss, value in (("dice", 0.5), ("same", 0.5), ("ce", 0.9))}
    scores |= {"nan": dict.fromkeys(scores["dice"], float("nan")), "gone": {}}
    found = run(scores)
    assert words(found) == dict.fromkeys(("same", "ce"), "too few patients") | dict.fromkeys(("nan", "gone"), "failed")
    assert {row.a: row.p for row in found.against_baseline}["same"] == 1.0
    assert {row.status for row in found.ranking if row.loss in ("nan", "gone")} == {"failed"}


def test_all_failed():
    found = run({"dice": {}, "ce": {"c0": None}})
    assert [row.status for row in found.ranking] == ["failed", "failed"]
    assert words(found) == {"ce": "failed"}
