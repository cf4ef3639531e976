"""Differences by fold, tested as what they are: folds share most of the cases they were trained on.

A t-test that takes them for independent is far too sure. Nadeau and Bengio (Machine Learning 52:239, 2003) widen the
variance by the ratio of tested to trained cases; with several seeds, all folds of all seeds are taken together
(Bouckaert and Frank 2004). It stands beside the test over patients, which does not know that networks vary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used

from segtrain.statistics.paired import defined_values, patient_differences


@dataclass(frozen=True)
class FoldTest:
    """A minus B over folds."""

    difference: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    p: float
    n: int
    """Folds of all seeds."""


@dataclass(frozen=True)
class FoldScores:
    """What each loss reached in each fold of each seed."""

    folds: int
    """Of the cross-validation, whether or not all of them are done."""
    by_loss: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    """Loss -> name of fold and seed -> case that was held out there -> value."""

    def test(self, a: str, b: str, patients: Mapping[str, str]) -> FoldTest | None:
        """A minus B over the folds that both have, in each over the patients of the cases that both have."""
        ours, theirs = (self.by_loss.get(loss, {}) for loss in (a, b))
        found = (_mean_difference(ours[name], theirs[name], patients) for name in ours if name in theirs)
        return corrected_test([gap for gap in found if gap is not None], self.folds)


def corrected_test(differences: Sequence[float], folds: int) -> FoldTest | None:
    """Test the mean of `differences`, one a fold and seed, of a cross-validation in `folds` parts.

    None below two differences or two folds.
    """
    n = len(differences)
    if n < 2 or folds < 2:
        return None
    mean, variance = float(np.mean(differences)), float(np.var(differences, ddof=1))
    error = math.sqrt((1 / n + 1 / (folds - 1)) * variance)
    if error == 0:
        return FoldTest(mean, mean, mean, 1.0 if mean == 0 else 0.0, n)
    half = float(scipy.stats.t.ppf(0.975, n - 1)) * error
    return FoldTest(mean, mean - half, mean + half, float(2 * scipy.stats.t.sf(abs(mean) / error, n - 1)), n)


def _mean_difference(
    ours: Mapping[str, float | None], theirs: Mapping[str, float | None], patients: Mapping[str, str]
) -> float | None:
    """None where there is no case that both have."""
    a, b = defined_values(ours), defined_values(theirs)
    cases = [case for case in a if case in b]
    gaps = patient_differences([a[c] for c in cases], [b[c] for c in cases], [patients[c] for c in cases])
    return float(gaps.mean()) if gaps.size else None
