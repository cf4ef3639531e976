"""Who comes first, by two rules, and how firmly.

Mean-then-rank orders the means; rank-then-mean averages the ranks that a method has case by case. The two can
disagree (Maier-Hein et al., Nat Commun 9:5217, 2018), so both are given. The interval of a rank is that of the
mean-then-rank place over bootstrapped patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import NDArray

from segtrain.statistics.intervals import DRAWS, LEVEL, Reals, bootstrap_means, group_sums


@dataclass(frozen=True)
class Ranks:
    """One value per method, in the order given. Rank 1 is the best."""

    of_mean: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    shares: tuple[tuple[float, ...], ...] = ()
    """For each method, the share of bootstrap draws in which it is first, second ...; shared places go to the better
    one. Empty below two groups."""


def rank(
    values: Reals, groups: Sequence[str], seed: int, *, higher_is_better: bool = True, draws: int = DRAWS
) -> Ranks | None:
    """Ranks of the columns of `values` (cases, methods), all defined; None without a case or a method."""
    cases, methods = values.shape
    if not cases or not methods:
        return None
    badness = -values if higher_is_better else values
    by_case = place(badness)
    of_mean = place(badness.mean(axis=0))
    sums, sizes = group_sums(badness, groups)
    ends: tuple[tuple[float | None, ...], ...] = ((None,) * methods,) * 2
    shares: tuple[tuple[float, ...], ...] = ()
    if len(sizes) > 1:
        drawn = bootstrap_means(sums, sizes, seed, draws)
        ends, shares = _rank_ends(place(drawn)), _shares(drawn)
    return Ranks(tuple(of_mean.tolist()), tuple(by_case.mean(axis=0).tolist()), ends[0], ends[1], shares)


def place(badness: Reals) -> NDArray[np.float64]:
    """Ranks along the last axis, the smallest value first, ties averaged; rounding noise is a tie."""
    ranks: NDArray[np.float64] = scipy.stats.rankdata(np.round(badness, 12), axis=-1)
    return ranks


def agreement(values: Reals, others: Reals) -> float | None:
    """Kendall's tau b between two orders of the same methods, from their badness; None where either is no order."""
    tau = float(scipy.stats.kendalltau(np.round(values, 12), np.round(others, 12)).statistic)
    return None if np.isnan(tau) else tau


def _shares(badness: Reals) -> tuple[tuple[float, ...], ...]:
    """How often each column has each place."""
    places = scipy.stats.rankdata(np.round(badness, 12), axis=-1, method="min").astype(int)
    methods = badness.shape[1]
    counts = [np.bincount(places[:, m], minlength=methods + 1)[1:] for m in range(methods)]
    return tuple(tuple((count / len(badness)).tolist()) for count in counts)


def _rank_ends(ranks: NDArray[np.float64]) -> tuple[tuple[float | None, ...], ...]:
    """Ends of the interval of each column; places that did occur, nothing in between."""
    tail = (1 - LEVEL) / 2
    ends = np.quantile(ranks, [tail, 1 - tail], axis=0, method="inverted_cdf")
    return tuple(tuple(float(r) for r in end) for end in ends)
