"""Differences by fold, tested as what they are: folds share most of the cases they were trained on.

A t-test that takes them for independent is far too sure. Nadeau and Bengio (Machine Learning 52:239, 2003) widen the
variance by the ratio of tested to trained cases; with several seeds, all folds of all seeds are taken together
(Bouckaert and Frank 2004). It stands beside the test over patients, which does not know that networks vary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used


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
