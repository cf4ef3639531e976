"""Many losses on the same cases: a ranking, and every pair.

Comparisons with the baseline are one family for Holm's correction, since they were named before the run; the
remaining pairs are corrected over all pairs. A case that is undefined for one loss is undefined for the pair and
for the ranks. A loss with no defined value at all has failed: it keeps its row, without numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import isfinite
from typing import Literal

import numpy as np

from segtrain.core.errors import ConfigError, Problem
from segtrain.statistics.folds import FoldTest, corrected_test
from segtrain.statistics.friedman import Friedman, friedman
from segtrain.statistics.intervals import DRAWS, Reals, group_sums, mean_interval
from segtrain.statistics.paired import Paired, compare_pair, holm, patients_needed
from segtrain.statistics.ranking import Ranks, rank
from segtrain.statistics.verdict import MARGIN, Verdict, verdict

LossStatus = Literal["ok", "incomplete", "failed", "dropped"]
"""incomplete: some cases have no entry, as when one fold failed; failed: nothing is defined, or nothing was found;
dropped: its trainings were ended early (`elimination`)."""

Scores = Mapping[str, Mapping[str, float | None]]
"""Loss -> case -> value, None where it is undefined."""


@dataclass(frozen=True)
class Rules:
    """What a comparison may choose."""

    margin: float | None = MARGIN
    """None: nothing is equivalent."""
    draws: int = DRAWS
    higher_is_better: bool = True
    dropped: int = 0
    """Losses that were to be compared and are not among the scores any more. Their pairs count in Holm's correction as
    if they were not rejected: the others look no better because somebody was dropped."""


@dataclass(frozen=True)
class RankingRow:
    """One loss; None where it failed."""

    loss: str
    mean: float | None
    """Over the cases that are defined for this loss."""
    low: float | None
    high: float | None
    n: int
    """Cases that are defined for this loss."""
    n_total: int
    """Cases of the comparison."""
    rank: float | None
    """Place of the mean over the cases that every loss has."""
    mean_rank: float | None
    """Mean of the places in each of those cases."""
    rank_low: float | None
    rank_high: float | None
    first: float | None
    """Share of bootstrapped patients for whom it would have come first."""
    status: LossStatus
    reason: str = ""
    """Of a status that needs one."""


@dataclass(frozen=True)
class PairRow:
    """Loss `a` minus loss `b`; None where one of them failed."""

    a: str
    b: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    effect: float | None
    p_superior: float | None
    """Share of patients in whom `a` is the better one, ties counted half."""
    verdict: Verdict
    n_patients: int
    n_cases: int
    n_undefined: int
    """Cases of the comparison that one of the two lacks."""
    patients_needed: int | None
    """About how many patients would show a true difference as large as the margin, where nothing is decided yet."""
    fold_p: float | None = None
    """Of the corrected test over folds and seeds (`folds.corrected_test`), beside the one over patients."""
    fold_low: float | None = None
    fold_high: float | None = None
    differences: tuple[float, ...] = field(default=(), repr=False)
    """By patient."""


@dataclass(frozen=True)
class Comparison:
    """Rows of the ranking, best first and failed last; pairs with the baseline first, then all others."""

    baseline: str
    rules: Rules
    n_cases: int
    n_common: int
    """Cases that every loss which did not fail has: those of the ranks."""
    n_patients: int
    ranking: tuple[RankingRow, ...]
    pairs: tuple[PairRow, ...]
    friedman: Friedman | None = None
    """Of the losses that did not fail, in the order of `compared`; None where there are too few."""
    compared: tuple[str, ...] = ()
    places: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Loss -> share of bootstrapped patients for whom it would have come first, second ..."""

    @property
    def finished(self) -> tuple[str, ...]:
        """Losses in the order of the ranking, without those that were dropped."""
        return tuple(row.loss for row in self.ranking if row.status != "dropped")

    @property
    def against_baseline(self) -> tuple[PairRow, ...]:
        """The family that was named before the run: each loss minus the baseline."""
        return tuple(p for p in self.pairs if p.b == self.baseline)


@dataclass(frozen=True)
class FoldMeans:
    """What each loss reached in each fold of each seed."""

    folds: int
    by_loss: Mapping[str, Mapping[str, float]]
    """Loss -> name of fold and seed -> mean over the cases that were held out there."""


def compare(
    scores: Scores,
    patients: Mapping[str, str],
    baseline: str,
    seed: int,
    rules: Rules | None = None,
    by_fold: FoldMeans | None = None,
) -> Comparison:
    """Compare losses by one metric; `patients` gives the patient of each case.

    Seeds are averaged within a case before. Raises ConfigError for a baseline that is not among the losses.
    """
    if baseline not in scores:
        raise ConfigError(Problem(f"the baseline {baseline!r} is not among the losses", why=", ".join(scores)))
    rules = rules or Rules()
    cases = list(dict.fromkeys(case for values in scores.values() for case in values))
    defined = {loss: defined_values(values) for loss, values in scores.items()}
    common = [c for c in cases if all(c in values for values in defined.values() if values)]
    alive = [loss for loss, values in defined.items() if values]
    table = np.array([[defined[loss][c] for loss in alive] for c in common], dtype=np.float64)
    table = table.reshape(len(common), len(alive))
    ranks = _ranks(alive, table, [patients[c] for c in common], seed, rules)
    rows = [_ranking_row(loss, scores[loss], patients, seed, rules) for loss in scores]
    rows = [_with_ranks(row, len(cases), ranks) for row in rows]
    ordered = sorted(rows, key=lambda row: _order(row, rules))
    frame = _Frame(patients, len(cases), seed, rules, by_fold or FoldMeans(1, {}))
    sums, sizes = group_sums(table, [patients[c] for c in common])
    return Comparison(
        baseline,
        rules,
        n_cases=len(cases),
        n_common=len(common),
        n_patients=len({patients[c] for c in cases}),
        ranking=tuple(ordered),
        pairs=_pairs([r.loss for r in ordered], baseline, defined, frame),
        friedman=friedman(sums / sizes[:, None], higher_is_better=rules.higher_is_better),
        compared=tuple(alive),
        places={loss: found.shares for loss, found in ranks.items()},
    )


@dataclass(frozen=True)
class _Frame:
    """What all pairs of one comparison share."""

    patients: Mapping[str, str]
    n_cases: int
    seed: int
    rules: Rules
    by_fold: FoldMeans

    def over_folds(self, a: str, b: str) -> FoldTest | None:
        """The corrected test of two losses over the folds that both have."""
        ours, theirs = (self.by_fold.by_loss.get(loss, {}) for loss in (a, b))
        return corrected_test([ours[name] - theirs[name] for name in ours if name in theirs], self.by_fold.folds)


@dataclass(frozen=True)
class _Placed:
    """Where a loss stands among all."""

    of_mean: float
    mean: float
    low: float | None
    high: float | None
    shares: tuple[float, ...]


def defined_values(values: Mapping[str, float | None]) -> dict[str, float]:
    """Case -> value, of the cases that have a finite one."""
    return {case: value for case, value in values.items() if value is not None and isfinite(value)}


def _ranks(alive: list[str], table: Reals, groups: list[str], seed: int, rules: Rules) -> dict[str, _Placed]:
    """Loss -> its place by the mean, its mean rank, both ends and the shares; empty without a common case."""
    found: Ranks | None = rank(table, groups, seed, higher_is_better=rules.higher_is_better, draws=rules.draws)
    if found is None:
        return {}
    shares = found.shares or ((),) * len(alive)
    rows = zip(alive, found.of_mean, found.mean, found.low, found.high, shares, strict=True)
    return {loss: _Placed(*values) for loss, *values in rows}


def _ranking_row(
    loss: str, values: Mapping[str, float | None], patients: Mapping[str, str], seed: int, rules: Rules
) -> RankingRow:
    defined = defined_values(values)
    found = mean_interval(list(defined.values()), [patients[c] for c in defined], seed, rules.draws)
    status: LossStatus = "ok" if defined else "failed"
    return RankingRow(
        loss, found.mean, found.low, found.high, len(defined), len(values), None, None, None, None, None, status
    )


def _with_ranks(row: RankingRow, n_cases: int, ranks: Mapping[str, _Placed]) -> RankingRow:
    """Ranks added; a loss that has entries for some cases only is marked."""
    status: LossStatus = "incomplete" if row.status == "ok" and row.n_total < n_cases else row.status
    row = replace(row, n_total=n_cases, status=status)
    if row.loss not in ranks:
        return row
    found = ranks[row.loss]
    first = found.shares[0] if found.shares else None
    return replace(row, rank=found.of_mean, mean_rank=found.mean, rank_low=found.low, rank_high=found.high, first=first)


def _order(row: RankingRow, rules: Rules) -> tuple[bool, float, float, str]:
    """Failed losses last, the best rank first; by the mean of its own cases where ranks are equal or there are none."""
    mean = row.mean or 0.0
    return row.mean is None, row.rank or 0.0, -mean if rules.higher_is_better else mean, row.loss


def _pairs(
    losses: list[str], baseline: str, defined: Mapping[str, Mapping[str, float]], frame: _Frame
) -> tuple[PairRow, ...]:
    """Every pair once: those with the baseline (as `b`) first, the others with the better rank as `a`."""
    against = [(loss, baseline) for loss in losses if loss != baseline]
    others = [pair for pair in combinations(losses, 2) if baseline not in pair]
    found = [compare_pair(defined[a], defined[b], frame.patients, frame.seed, frame.rules.draws) for a, b in against]
    rest = [compare_pair(defined[a], defined[b], frame.patients, frame.seed, frame.rules.draws) for a, b in others]
    gone, alive = frame.rules.dropped, sum(1 for loss in losses if defined[loss])
    known = [sum(1 for pair in pairs if pair.p is not None) for pairs in (found, rest)]
    corrected = holm([pair.p for pair in found], family=known[0] + gone)
    untested = gone * alive + gone * (gone - 1) // 2
    corrected_all = holm([pair.p for pair in (*found, *rest)], family=sum(known) + untested)[len(found) :]
    rows = zip((*against, *others), (*found, *rest), (*corrected, *corrected_all), strict=True)
    return tuple(_pair_row(names, pair, p, defined, frame) for names, pair, p in rows)


def _pair_row(
    names: tuple[str, str],
    pair: Paired,
    p_holm: float | None,
    defined: Mapping[str, Mapping[str, float]],
    frame: _Frame,
) -> PairRow:
    a, b = names
    rules = frame.rules
    word = verdict(pair, p_holm, higher_is_better=rules.higher_is_better, margin=rules.margin)
    larger = pair.p_larger
    folds = frame.over_folds(a, b)
    return PairRow(
        a=a,
        b=b,
        difference=pair.difference,
        low=pair.low,
        high=pair.high,
        p=pair.p,
        p_holm=p_holm,
        effect=pair.effect,
        p_superior=larger if larger is None or rules.higher_is_better else 1 - larger,
        verdict=word if defined[a] and defined[b] else "failed",
        n_patients=pair.n_patients,
        n_cases=pair.n_cases,
        n_undefined=frame.n_cases - pair.n_cases,
        patients_needed=patients_needed(pair.differences, rules.margin) if word == "not decided" else None,
        fold_p=None if folds is None else folds.p,
        fold_low=None if folds is None else folds.low,
        fold_high=None if folds is None else folds.high,
        differences=pair.differences,
    )
