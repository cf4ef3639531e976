"""Many losses on the same cases: a ranking, and every pair.

Comparisons with the baseline are one family for Holm's correction, since they were named before the run; the
remaining pairs are corrected over all pairs. A case that is undefined for one loss is undefined for the pair and
for the ranks. A loss with no defined value at all has failed: it keeps its row, without numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np

from segtrain.core.errors import ConfigError, Problem
from segtrain.statistics.folds import FoldScores
from segtrain.statistics.friedman import Friedman, friedman
from segtrain.statistics.intervals import DRAWS, Reals, group_sums, mean_interval
from segtrain.statistics.paired import Paired, compare_pair, defined_values, holm, patients_needed
from segtrain.statistics.ranking import Ranks, rank
from segtrain.statistics.verdict import ALPHA, MARGIN, Verdict, verdict

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
    if they were not rejected, as those of losses that failed do: the others look no better for it."""


@dataclass(frozen=True)
class RankingRow:
    """One loss; None where it failed."""

    loss: str
    mean: float | None
    """Over patients: of each the mean of its cases that are defined for this loss."""
    low: float | None
    high: float | None
    n: int
    """Cases that are defined for this loss."""
    n_total: int
    """Cases of the comparison."""
    rank: float | None
    """Place of the mean over patients, of the cases that every loss has."""
    mean_rank: float | None
    """Mean of the places in each of those patients."""
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


def compare(
    scores: Scores,
    patients: Mapping[str, str],
    baseline: str,
    seed: int,
    rules: Rules | None = None,
    by_fold: FoldScores | None = None,
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
    sums, sizes = group_sums(table.reshape(len(common), len(alive)), [patients[c] for c in common])
    by_patient = sums / sizes[:, None]
    ranks = _ranks(alive, by_patient, seed, rules)
    rows = [_ranking_row(loss, scores[loss], patients, seed, rules) for loss in scores]
    rows = [_with_ranks(row, len(cases), ranks) for row in rows]
    ordered = sorted(rows, key=lambda row: _order(row, rules))
    frame = _Frame(patients, len(cases), seed, rules, by_fold or FoldScores(1, {}))
    return Comparison(
        baseline,
        rules,
        n_cases=len(cases),
        n_common=len(common),
        n_patients=len({patients[c] for c in cases}),
        ranking=tuple(ordered),
        pairs=_pairs([r.loss for r in ordered], baseline, defined, frame),
        friedman=friedman(by_patient, higher_is_better=rules.higher_is_better),
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
    by_fold: FoldScores


@dataclass(frozen=True)
class _Placed:
    """Where a loss stands among all."""

    of_mean: float
    mean: float
    low: float | None
    high: float | None
    shares: tuple[float, ...]


def _ranks(alive: list[str], by_patient: Reals, seed: int, rules: Rules) -> dict[str, _Placed]:
    """Loss -> its place by the mean, its mean rank, both ends and the shares; empty without a common case."""
    rows = [f"{number:09d}" for number in range(len(by_patient))]
    found: Ranks | None = rank(by_patient, rows, seed, higher_is_better=rules.higher_is_better, draws=rules.draws)
    if found is None:
        return {}
    shares = found.shares or ((),) * len(alive)
    placed = zip(alive, found.of_mean, found.mean, found.low, found.high, shares, strict=True)
    return {loss: _Placed(*values) for loss, *values in placed}


def _ranking_row(
    loss: str, values: Mapping[str, float | None], patients: Mapping[str, str], seed: int, rules: Rules
) -> RankingRow:
    defined = defined_values(values)
    sums, sizes = group_sums(np.array(list(defined.values()), dtype=np.float64), [patients[c] for c in defined])
    rows = [f"{number:09d}" for number in range(len(sizes))]
    found = mean_interval((sums / sizes).tolist(), rows, seed, rules.draws)
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
    gone = frame.rules.dropped
    corrected = holm([pair.p for pair in found], family=len(found) + gone)
    untested = gone * len(losses) + gone * (gone - 1) // 2
    family = len(found) + len(rest) + untested
    corrected_all = holm([pair.p for pair in (*found, *rest)], family=family)[len(found) :]
    families = [len(found) + gone] * len(found) + [family] * len(rest)
    rows = zip((*against, *others), (*found, *rest), (*corrected, *corrected_all), families, strict=True)
    return tuple(_pair_row(names, pair, (p, of), defined, frame) for names, pair, p, of in rows)


def _pair_row(
    names: tuple[str, str],
    pair: Paired,
    corrected: tuple[float | None, int],
    defined: Mapping[str, Mapping[str, float]],
    frame: _Frame,
) -> PairRow:
    """`corrected`: p after correction, and of how many tests."""
    a, b = names
    p_holm, family = corrected
    rules = frame.rules
    word = verdict(pair, p_holm, higher_is_better=rules.higher_is_better, margin=rules.margin)
    larger = pair.p_larger
    folds = frame.by_fold.test(a, b, frame.patients)
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
        patients_needed=patients_needed(pair.differences, rules.margin, ALPHA / family)
        if word == "not decided"
        else None,
        fold_p=None if folds is None else folds.p,
        fold_low=None if folds is None else folds.low,
        fold_high=None if folds is None else folds.high,
        differences=pair.differences,
    )
