"""All methods against all: whether any differ, and which cannot be told apart.

Friedman's test asks whether the ranks that methods have case by case are more than chance, with the F statistic of
Iman and Davenport (1980), as Demsar advises (JMLR 7:1, 2006). Nemenyi's critical difference then says how far apart two
mean ranks must be. Demsar's units are data sets; here they are patients, so that what is found holds for this data set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used

from segtrain.statistics.intervals import Reals
from segtrain.statistics.ranking import place

ALPHA = 0.05
FEWEST_METHODS = 3
"""Two methods are a pair, and have a paired test."""


@dataclass(frozen=True)
class Friedman:
    """Methods in the order given."""

    p: float
    n: int
    """Patients."""
    mean_ranks: tuple[float, ...]
    """1 is the best."""
    critical_difference: float
    """Mean ranks that are less than this apart are not told apart (Nemenyi, 5 % over all pairs)."""
    groups: tuple[tuple[int, ...], ...]
    """The largest sets of methods, best first, that are not told apart; methods that stand alone are in none."""


def friedman(values: Reals, *, higher_is_better: bool = True) -> Friedman | None:
    """Compare the columns of `values` (patients, methods), all defined; None under 3 methods or 2 patients."""
    n, methods = values.shape
    if methods < FEWEST_METHODS or n < 2:
        return None
    ranks = place(-values if higher_is_better else values)
    mean = ranks.mean(axis=0)
    apart = critical_difference(methods, n)
    return Friedman(_p_value(ranks), n, tuple(mean.tolist()), apart, _groups(mean, apart))


def critical_difference(methods: int, n: int) -> float:
    """Nemenyi's, from the studentised range: q sqrt(k (k + 1) / 6 n)."""
    q = float(scipy.stats.studentized_range.ppf(1 - ALPHA, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * n))


def _p_value(ranks: Reals) -> float:
    """Of Iman and Davenport's F; ties are corrected for. 1 where all methods share every rank."""
    n, methods = ranks.shape
    centre = (methods + 1) / 2
    spread = float(np.square(ranks - centre).sum()) / (n * (methods - 1))  # of ranks within a patient
    if spread == 0:
        return 1.0
    chi = n * float(np.square(ranks.mean(axis=0) - centre).sum()) / spread
    rest = n * (methods - 1) - chi
    if rest <= 0:
        return 0.0  # every patient ranks the methods alike
    return float(scipy.stats.f.sf((n - 1) * chi / rest, methods - 1, (methods - 1) * (n - 1)))


def _groups(mean_ranks: Reals, apart: float) -> tuple[tuple[int, ...], ...]:
    order = [int(i) for i in np.argsort(mean_ranks, kind="stable")]
    found: list[tuple[int, ...]] = []
    end = 0
    for start in range(len(order)):
        reach = max(i for i in range(start, len(order)) if mean_ranks[order[i]] - mean_ranks[order[start]] < apart)
        if reach > start and reach >= end + (1 if found else 0):
            found.append(tuple(order[start : reach + 1]))
            end = reach
    return tuple(found)
