"""Sweeps in which nothing is to be found: how often is something found all the same?"""

import numpy as np
import pytest

from segtrain.statistics.comparison import Rules, compare
from tests.faults.table import fault

LOSSES = 5
FALSE_SHARE = 0.05


def null_sweep(seed, patients):
    """Dice of equally good losses: patients differ much, losses little, a tenth of the patients fail for all."""
    rng = np.random.default_rng([seed, patients])
    names = [f"P{i:03d}" for i in range(patients)]
    base = np.where(rng.random(patients) < 0.1, 0.0, rng.beta(12, 2, patients))
    scores = {}
    for loss in range(LOSSES):
        values = np.clip(base + rng.normal(0, 0.03, patients) * (base > 0), 0, 1)
        values[rng.random(patients) < 0.03] = 0  # and now and then one alone
        scores[f"loss {loss}"] = dict(zip(names, values.tolist(), strict=True))
    return scores, dict(zip(names, names, strict=True))


def false_verdicts(sweeps, patients, draws):
    """The share of sweeps with a false verdict against the baseline, and that with one between any two losses."""
    baseline = anybody = 0
    for seed in range(sweeps):
        scores, people = null_sweep(seed, patients)
        found = compare(scores, people, "loss 0", seed, Rules(draws=draws))
        baseline += any(pair.verdict in ("better", "worse") for pair in found.against_baseline)
        anybody += any(pair.verdict in ("better", "worse") for pair in found.pairs)
    return baseline / sweeps, anybody / sweeps


@pytest.mark.parametrize("patients", [6, 20])
@fault("F30", "fewer such sweeps", then="0, at most 5 % and the noise of their number")
def test_few_null_sweeps_have_a_verdict(patients):
    sweeps = 100
    noise = 2.6 * np.sqrt(FALSE_SHARE * (1 - FALSE_SHARE) / sweeps)  # one in two hundred runs of this test
    assert max(false_verdicts(sweeps, patients, 200)) <= FALSE_SHARE + noise


@pytest.mark.slow
@pytest.mark.parametrize("patients", [10, 20, 60])
@fault("F30", "500 sweeps of equal losses", then="0, at most 5 % have a verdict")
def test_500_null_sweeps_have_at_most_5_percent_with_a_verdict(patients):
    noise = 2.6 * np.sqrt(FALSE_SHARE * (1 - FALSE_SHARE) / 500)
    assert max(false_verdicts(500, patients, 1000)) <= FALSE_SHARE + noise


def test_a_loss_that_was_entered_twice_is_equivalent_to_itself():
    scores, people = null_sweep(0, 12)
    scores = {"dice": scores["loss 0"], "dice again": dict(scores["loss 0"]), "other": scores["loss 1"]}
    found = compare(scores, people, "dice", 0)
    pair = next(p for p in found.pairs if {p.a, p.b} == {"dice", "dice again"})
    assert (pair.verdict, pair.difference, pair.p) == ("equivalent", 0.0, 1.0)
    ranks = {row.loss: row.rank for row in found.ranking}
    assert ranks["dice"] == ranks["dice again"]
