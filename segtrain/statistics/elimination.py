"""Which losses may stop before the end: those that are significantly behind the best so far, and no others.

Successive halving (Jamieson and Talwalkar, AISTATS 2016; Hyperband, Li et al., JMLR 18:185, 2018) stops a fixed share
of all candidates at each rung, however close they are. Here a paired test decides, so that less than half may go, or
nobody. A loss is dropped only where all of this holds: it is behind the leader, the loss with the best mean; a Wilcoxon
signed-rank test says so after correction; the interval of the difference lies on one side of 0; the mean difference is
larger than the margin; there are six patients or more; it is not the baseline; enough losses stay; and it has not even
reached what the leader of the rung before had there.

The family. The leader is chosen by the data, so that a test against it alone is a test of best against worst, which is
wrong in half of the sweeps over ten equal losses. Therefore every pair of losses counts, at every rung but the first,
which drops nobody: with k losses and r rungs the family is (r - 1) k (k - 1) / 2 two-sided tests, each as much as two
one-sided ones at half the level. Holm's step-down works in whatever order the p values become known: before the first
false rejection only false hypotheses were rejected, so the factor is never less than the number of true ones, and the
chance of any false rejection over the whole sweep is at most `ALPHA` (what is not tested any more counts as not
rejected, which costs power only). So the chance that a loss is dropped at any rung which is as good as the leader there
stays below `ALPHA`.

Why the last condition. Learning curves cross: on the embedded data set the loss that is the best in the end is truly
behind, by 0.15 Dice, after a third of the training, and a test at one epoch alone would drop it, rightly by that epoch.
A loss that lags is given as many epochs again: with rungs after a quarter and a half of them it goes only if it learns
less than half as fast. The first rung is the yardstick, and drops nobody. That a loss which is as slow as that would
not have caught up is an assumption all the same, and not a finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from segtrain.core.words import count
from segtrain.statistics.comparison import Scores
from segtrain.statistics.intervals import DRAWS, Reals, group_sums
from segtrain.statistics.paired import SAME, Paired, compare_pair, defined_values, holm, wilcoxon_p
from segtrain.statistics.verdict import ALPHA, FEWEST_PATIENTS

Decision = Literal[
    "leader", "dropped", "kept", "kept as it catches up", "kept as the baseline", "kept by keep_at_least"
]

YARDSTICK = "the first rung drops nobody: it is the yardstick of the next"


@dataclass(frozen=True)
class DropRules:
    """When a loss may be dropped."""

    margin: float
    """Mean differences up to this drop nobody; in the unit of the metric."""
    keep_at_least: int
    """Losses that stay, whatever the tests say."""
    left: int
    """Comparisons of the family, those of later rungs too, that were not rejected at an earlier rung."""
    higher_is_better: bool = True
    draws: int = DRAWS


@dataclass(frozen=True)
class Standing:
    """One loss at a rung."""

    loss: str
    mean: float
    """Over patients, of the cases that all losses have which are judged."""
    behind: float
    """How much worse than the leader; 0 for the leader."""
    low: float | None
    high: float | None
    """Ends of the 95 % interval of `behind`; None for the leader, and for a single patient."""
    p: float | None
    """Two-sided, not corrected; None for the leader."""
    p_corrected: float | None
    """Over the whole family."""
    decision: Decision


@dataclass(frozen=True)
class Elimination:
    """What a rung says."""

    standings: tuple[Standing, ...]
    """The best first."""
    n_patients: int
    rejected: int
    """Comparisons of this rung that are rejected: as many fewer are left for later ones."""
    why_nobody: str = ""
    """Why nobody could be dropped, whatever the scores."""


def family(losses: int, rungs: int) -> int:
    """Comparisons that a sweep may make: every pair of losses at every rung but the first, which drops nobody."""
    rungs -= 1
    return rungs * losses * (losses - 1) // 2


def eliminate(
    scores: Scores,
    patients: Mapping[str, str],
    baseline: str,
    seed: int,
    rules: DropRules,
    before: Mapping[str, float | None] | None,
) -> Elimination:
    """Judge the losses of `scores` by the cases that all of them have; seeds are averaged within a case before.

    `before`: what the leader of the rung before had there, by case; None at the first rung, which drops nobody.
    A loss without any defined value must not be among them. Nothing is said, and nobody dropped, without a common case.
    """
    defined = {loss: defined_values(values) for loss, values in scores.items()}
    common = [case for case in next(iter(defined.values()), {}) if all(case in of for of in defined.values())]
    if not common:
        return Elimination((), 0, 0, "there is no case that all losses have")
    table = np.array([[of[case] for of in defined.values()] for case in common], dtype=np.float64)
    sums, sizes = group_sums(table, [patients[case] for case in common])
    by_patient = sums / sizes[:, None]
    means = dict(zip(defined, by_patient.mean(axis=0).tolist(), strict=True))
    order = sorted(means, key=lambda loss: -means[loss] if rules.higher_is_better else means[loss])
    columns = {loss: by_patient[:, place] for place, loss in enumerate(defined)}
    corrected = _corrected(columns, rules.left)
    leader = order[0]
    pairs = {
        loss: compare_pair(*_leader_last(defined, loss, leader, common, rules), patients, seed, rules.draws)
        for loss in order[1:]
    }
    to_leader = {loss: corrected[frozenset((leader, loss))] for loss in pairs}
    behind = [loss for loss in pairs if before is not None and _is_behind(pairs[loss], to_leader[loss], rules.margin)]
    slow = [loss for loss in behind if _is_slow(defined[loss], defined_values(before or {}), patients, seed, rules)]
    decisions = _decisions(order, behind, slow, baseline, rules.keep_at_least)
    first = Standing(leader, means[leader], 0.0, None, None, None, None, "leader")
    rest = [_standing(loss, means[loss], pair, to_leader[loss], decisions[loss]) for loss, pair in pairs.items()]
    if before is None:
        return Elimination((first, *rest), len(sizes), 0, YARDSTICK)
    rejected = sum(p < ALPHA for p in corrected.values())
    return Elimination((first, *rest), len(sizes), rejected, _why_nobody(len(sizes), rules.left))


def _corrected(columns: Mapping[str, Reals], left: int) -> dict[frozenset[str], float]:
    """Two losses -> p of their pair, corrected over what is left of the family."""
    pairs = [frozenset(pair) for pair in combinations(columns, 2)]
    found = [wilcoxon_p(_gaps(*(columns[loss] for loss in sorted(pair)))) for pair in pairs]
    return {pair: p for pair, p in zip(pairs, holm(found, family=left), strict=True) if p is not None}


def _gaps(ours: Reals, theirs: Reals) -> Reals:
    gaps = ours - theirs
    return np.where(np.abs(gaps) < SAME, 0.0, gaps)


def _leader_last(
    defined: Mapping[str, Mapping[str, float]], loss: str, leader: str, common: list[str], rules: DropRules
) -> tuple[dict[str, float], dict[str, float]]:
    """Two sides whose difference is how far a loss is behind: positive where it is worse."""
    names = (leader, loss) if rules.higher_is_better else (loss, leader)
    ours, theirs = ({case: defined[name][case] for case in common} for name in names)
    return ours, theirs


def _decisions(
    order: list[str], behind: list[str], slow: list[str], baseline: str, keep_at_least: int
) -> dict[str, Decision]:
    """Loss -> what becomes of it. The baseline always stays; else the worst go first, until enough are left."""
    found: dict[str, Decision] = {loss: "kept as it catches up" if loss in behind else "kept" for loss in order[1:]}
    if baseline in found:
        found[baseline] = "kept as the baseline"
    room = max(0, len(order) - keep_at_least)
    for loss in reversed(slow):
        if loss == baseline:
            continue
        if room:
            found[loss] = "dropped"
            room -= 1
        else:
            found[loss] = "kept by keep_at_least"
    return found


def _is_slow(
    ours: Mapping[str, float], before: Mapping[str, float], patients: Mapping[str, str], seed: int, rules: DropRules
) -> bool:
    """Whether a loss has not reached what another had at the rung before, by the interval and by the margin."""
    sides = (before, ours) if rules.higher_is_better else (ours, before)
    gap = compare_pair(*sides, patients, seed, rules.draws)
    return gap.difference is not None and gap.low is not None and gap.low > 0 and gap.difference > rules.margin


def _is_behind(pair: Paired, p_corrected: float, margin: float) -> bool:
    """Whether test, interval and margin all say so; ranks and mean in the same direction."""
    if pair.n_patients < FEWEST_PATIENTS or pair.difference is None or pair.low is None or pair.effect is None:
        return False
    return p_corrected < ALPHA and pair.effect > 0 and pair.low > 0 and pair.difference > margin


def _standing(loss: str, mean: float, pair: Paired, p_corrected: float, decision: Decision) -> Standing:
    behind = 0.0 if pair.difference is None else pair.difference
    return Standing(loss, mean, behind, pair.low, pair.high, pair.p, p_corrected, decision)


def _why_nobody(n: int, left: int) -> str:
    """Why so many patients cannot drop anybody; nothing where they can."""
    people = count(n, "patient")
    if n < FEWEST_PATIENTS:
        return f"with {people} nobody is dropped; at least {FEWEST_PATIENTS} are needed"
    least = 2.0 ** (1 - n)
    if least * left < ALPHA:
        return ""
    why = f"the least possible p, {least:.2g}, times {count(left, 'comparison')} is not below {ALPHA:g}"
    return f"with {people} nobody can be dropped: {why}"
