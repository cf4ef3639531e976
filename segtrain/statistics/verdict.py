"""A word for a comparison, computed and never chosen.

The rules, in this order: a loss without results is `failed`; under six patients nothing can be said (a two-sided
signed-rank test of five cannot reach p < 0.05); a difference whose intervals lie within the margin is `equivalent`,
however small p is, and nothing is where there is no margin; a corrected p below 0.05 with an interval on one side of 0,
ranks and mean in the same direction, is `better` or `worse`; everything else is `not decided`.

Two intervals have to lie within the margin, that of the bootstrap and Student's: with few patients the first is too
narrow, and would call one in fourteen pairs of six patients equivalent whose true difference is the margin.
"""

from __future__ import annotations

from typing import Literal

from segtrain.statistics.paired import Paired

Verdict = Literal["better", "worse", "equivalent", "not decided", "too few patients", "failed"]

FEWEST_PATIENTS = 6
"""The two-sided signed-rank test has a smallest p of 2 / 2^n: 0.0625 for five patients, 0.031 for six."""

MARGIN = 0.01
"""Mean differences up to this are of no practical use (a region of practical equivalence for Dice and IoU).

It is one for pure numbers alone: what is as good as equal in millimetres, the structure decides, so that a metric with
a unit has no margin unless somebody names it.
"""

ALPHA = 0.05
"""Accepted chance of a false verdict over a family of comparisons."""


def verdict(
    pair: Paired, p_holm: float | None, *, higher_is_better: bool = True, margin: float | None = MARGIN
) -> Verdict:
    """What can be said of A against B; without a margin nothing is equivalent."""
    if pair.n_patients < FEWEST_PATIENTS:
        return "too few patients"
    if pair.difference is None or pair.low is None or pair.high is None or p_holm is None:
        return "not decided"
    if margin is not None and _within(pair, margin):
        return "equivalent"
    agree = pair.effect is not None and pair.effect * pair.difference > 0
    if agree and p_holm < ALPHA and (pair.low > 0 or pair.high < 0):
        return "better" if (pair.difference > 0) == higher_is_better else "worse"
    return "not decided"


def _within(pair: Paired, margin: float) -> bool:
    """Whether all ends of both intervals are within the margin."""
    ends = (pair.low, pair.high, pair.t_low, pair.t_high)
    return all(end is not None and abs(end) <= margin for end in ends)
