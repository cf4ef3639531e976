"""A loss is dropped where it is surely behind the leader, and hardly ever by chance."""

import numpy as np
import pytest

from segtrain.statistics.elimination import DropRules, eliminate, family
from segtrain.statistics.paired import holm, wilcoxon_p

LETTERS = "abcdefghij"


def table(shifts, n=12, seed=0, noise=0.01):
    """Loss -> case -> value: one case a patient, a common difficulty, a shift a loss."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.5, 0.8, n)
    return {
        loss: {f"c{i:02d}": float(v) for i, v in enumerate(base + shift + rng.normal(0, noise, n))}
        for loss, shift in shifts.items()
    }


def best_of(scores, higher_is_better=True):
    """What the best loss has: a yardstick that lags nobody."""
    means = {loss: np.nanmean([v for v in values.values() if v is not None]) for loss, values in scores.items()}
    return scores[(max if higher_is_better else min)(means, key=means.get)]


def judged(scores, baseline="a", patients=None, before="as now", **rules):
    """At the second of three rungs; the leader of the one before had there what the leader has now."""
    if before == "as now":
        before = best_of(scores, rules.get("higher_is_better", True))
    of = patients or {case: case for values in scores.values() for case in values}
    given = {"margin": 0.01, "keep_at_least": 2, "left": family(len(scores), 3), "draws": 500, **rules}
    return eliminate(scores, of, baseline, 0, DropRules(**given), before)


def decisions(found):
    return {row.loss: row.decision for row in found.standings}


def test_what_is_far_behind_is_dropped_and_what_is_close_is_kept():
    found = judged(table({"a": 0.0, "b": 0.001, "c": -0.2, "d": -0.3}), baseline="none")
    assert {loss: word for loss, word in decisions(found).items() if loss in "cd"} == {"c": "dropped", "d": "dropped"}
    assert sorted(word for loss, word in decisions(found).items() if loss in "ab") == ["kept", "leader"]
    assert [row.loss for row in found.standings[2:]] == ["c", "d"]


def test_how_far_it_is_behind_is_the_difference_of_the_means_over_patients():
    scores = {"a": dict.fromkeys("uvwxyz", 0.8), "b": {"u": 0.2, "v": 0.6, "w": 0.7, "x": 0.6, "y": 0.5, "z": 0.4}}
    patients = {"u": "P", "v": "P", "w": "Q", "x": "R", "y": "S", "z": "T"}
    a, b = judged(scores, patients=patients).standings
    assert a.mean == pytest.approx(0.8)
    assert b.mean == pytest.approx((0.4 + 0.7 + 0.6 + 0.5 + 0.4) / 5)
    assert b.behind == pytest.approx(a.mean - b.mean)


def test_the_correction_counts_every_pair_of_every_rung_that_is_left():
    scores = table({"a": 0.0, "b": -0.2, "c": -0.4}, n=8)
    found = judged(scores, left=6)
    gaps = {
        pair: np.array(list(scores[pair[0]].values())) - np.array(list(scores[pair[1]].values()))
        for pair in ("ab", "ac", "bc")
    }
    p = [wilcoxon_p(gaps[pair]) for pair in ("ab", "ac", "bc")]
    assert p == [2 / 2**8] * 3
    by_hand = [2 / 2**8 * 6] * 3  # Holm: the largest factor is never undercut by the later, smaller ones
    assert holm(p, family=6) == by_hand
    assert [row.p_corrected for row in found.standings] == [None, *by_hand[:2]]
    assert found.rejected == 3


def test_a_difference_within_the_margin_drops_nobody():
    scores = table({"a": 0.0, "b": -0.008}, n=20, noise=1e-4)
    assert decisions(judged(scores, keep_at_least=1))["b"] == "kept"
    assert decisions(judged(scores, keep_at_least=1, margin=0.005))["b"] == "dropped"


@pytest.mark.parametrize("before", ["none", "catches up", "close"])
def test_that_the_baseline_is_always_kept_is_what_is_said_of_it(before):
    """At the first rung, where it is behind and catches up, and where nothing tells it from the leader."""
    scores = table({"a": -0.002 if before == "close" else -0.2, "b": 0.0, "c": -0.4})
    yardstick = {"none": None, "catches up": scores["a"], "close": scores["b"]}[before]
    assert decisions(judged(scores, before=yardstick))["a"] == "kept as the baseline"


def test_the_baseline_stays_and_so_do_as_many_as_must():
    scores = table({"a": -0.3, "b": 0.0, "c": -0.1, "d": -0.2})
    assert decisions(judged(scores)) == {"b": "leader", "c": "dropped", "d": "dropped", "a": "kept as the baseline"}
    kept = decisions(judged(scores, keep_at_least=3))
    assert kept == {"b": "leader", "c": "kept by keep_at_least", "d": "dropped", "a": "kept as the baseline"}


def test_who_is_behind_but_has_reached_what_the_leader_had_before_is_kept():
    scores = table({"a": 0.0, "b": 0.0, "c": -0.2, "d": -0.4})
    early = {case: value - 0.3 for case, value in scores["a"].items()}
    found = decisions(judged(scores, before=early))
    assert (found["c"], found["d"]) == ("kept as it catches up", "dropped")


def test_the_first_rung_is_the_yardstick_and_drops_nobody():
    found = judged(table({"a": 0.0, "b": -0.2, "c": -0.4}), before=None)
    assert set(decisions(found).values()) == {"leader", "kept"}
    assert found.rejected == 0
    assert "yardstick" in found.why_nobody
    assert family(9, 1) == 0
    assert family(9, 3) == 2 * 36
    assert family(10, 3) == 90


def test_where_less_is_better_the_leader_is_the_least():
    found = judged(table({"a": 0.0, "b": 0.2, "c": 0.4}), higher_is_better=False)
    assert decisions(found) == {"a": "leader", "b": "kept by keep_at_least", "c": "dropped"}
    assert found.standings[2].behind == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_under_six_patients_nobody_is_dropped(n):
    found = judged(table({"a": 0.0, "b": -0.3, "c": -0.4}, n=n))
    assert set(decisions(found).values()) == {"leader", "kept"}
    assert "at least 6 are needed" in found.why_nobody


def test_too_many_comparisons_for_so_few_patients_are_told():
    found = judged(table(dict(zip(LETTERS, np.linspace(0, -0.5, 10), strict=True)), n=8))
    assert "dropped" not in decisions(found).values()
    assert "times 90 comparisons" in found.why_nobody
    assert not judged(table({"a": 0.0, "b": -0.3, "c": -0.4}, n=12)).why_nobody


def test_all_equal_drops_nobody():
    values = {f"c{i}": 0.5 for i in range(9)}
    found = judged({"a": values, "b": dict(values), "c": dict(values)})
    assert decisions(found) == {"a": "leader", "b": "kept", "c": "kept"}
    assert [row.p for row in found.standings] == [None, 1.0, 1.0]


def test_cases_that_one_loss_lacks_count_for_none():
    scores = table({"a": 0.0, "b": -0.2, "c": -0.3})
    scores["c"] |= {"c00": None, "c01": float("nan")}
    found = judged(scores)
    assert found.n_patients == 10
    assert found.standings[0].mean == pytest.approx(np.mean(list(scores["a"].values())[2:]))


def test_without_a_common_case_nothing_is_said():
    found = judged({"a": {"c0": 0.5}, "b": {"c1": 0.5}})
    assert (found.standings, found.why_nobody) == ((), "there is no case that all losses have")


def rungs_of(seed, losses, patients, shift):
    """Scores of one sweep at the two rungs that drop, correlated as those of one training are; `shift` by loss."""
    rng = np.random.default_rng([seed, losses, patients])
    base = np.where(rng.random(patients) < 0.1, 0.0, rng.beta(12, 2, patients))
    own = rng.normal(0, 0.03, (losses, patients))
    for later in (0.0, 0.02):
        noise = 0.7 * own + 0.7 * rng.normal(0, 0.03, (losses, patients))
        values = np.clip(base + later + (shift[:, None] + noise) * (base > 0), 0, 1)
        yield {LETTERS[i]: {f"P{j:03d}": float(v) for j, v in enumerate(values[i])} for i in range(losses)}


def dropped_in(seed, losses, patients, shift):
    """Everybody whom a sweep drops at two rungs, where nobody is spared for catching up."""
    gone, left = [], family(losses, 3)
    for scores in rungs_of(seed, losses, patients, shift):
        still = {loss: values for loss, values in scores.items() if loss not in gone}
        found = judged(still, baseline="none", left=left, draws=200, margin=0.0)
        gone += [loss for loss, word in decisions(found).items() if word == "dropped"]
        left -= found.rejected
    return gone


def wrongly_dropped(sweeps, losses, patients, equal):
    """The share of sweeps that drop one of the first `equal` losses, which are all as good as the best."""
    shift = np.where(np.arange(losses) < equal, 0.0, -0.15)
    best = set(LETTERS[:equal])
    return sum(bool(best & {*dropped_in(seed, losses, patients, shift)}) for seed in range(sweeps)) / sweeps


@pytest.mark.parametrize(("losses", "equal"), [(10, 10), (6, 3)])
def test_few_null_sweeps_drop_a_loss_that_is_as_good_as_the_best(losses, equal):
    assert wrongly_dropped(40, losses, 20, equal) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 40)


@pytest.mark.slow
@pytest.mark.parametrize(("losses", "equal"), [(10, 10), (5, 5), (10, 5), (6, 2)])
@pytest.mark.parametrize("patients", [12, 20, 60])
def test_500_null_sweeps_drop_a_loss_that_is_as_good_as_the_best_in_at_most_5_percent(losses, equal, patients):
    assert wrongly_dropped(500, losses, patients, equal) <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 500)


def test_a_test_against_the_chosen_leader_alone_would_drop_in_half_of_the_null_sweeps():
    """Why all pairs are counted: Holm over the comparisons with the leader only, at a single look."""
    wrong = 0
    for seed in range(100):
        scores = next(iter(rungs_of(seed, 10, 20, np.zeros(10))))
        order = sorted(scores, key=lambda loss: -np.mean(list(scores[loss].values())))
        leader, worst = (np.array(list(scores[loss].values())) for loss in (order[0], order[-1]))
        wrong += wilcoxon_p(leader - worst) < 0.05
    assert wrong > 30
