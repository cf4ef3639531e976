"""The scores of a sweep: what each loss reached in each case, by metric, label, fold and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from statistics import fmean, stdev

from segtrain.core.scores import CaseScores, mean_of_defined
from segtrain.metrics.registry import IDEAL, Best
from segtrain.recipes.sweep.plan import SweepRun
from segtrain.reports.breakdown import LabelValues
from segtrain.reports.tables import read_cases_csv
from segtrain.statistics.folds import FoldScores

Values = dict[str, dict[str, float | None]]
"""Loss -> case -> mean over its labels, averaged over seeds; None where it is not defined."""

OfCase = Callable[[CaseScores], float | None]


@dataclass(frozen=True, eq=False)
class SweepScores:
    """Out-of-fold scores of all runs that ended well."""

    labels: tuple[str, ...]
    """Of the losses."""
    metrics: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: int
    by_run: Mapping[str, Mapping[tuple[int, int], Sequence[CaseScores]]]
    """Loss -> seed and fold -> scores of the cases held out there."""
    patients: Mapping[str, str]
    best: Mapping[str, Best]
    """Metric -> which values are good ones."""

    @property
    def patients_known(self) -> bool:
        """Whether cases were told to be of patients; else each is a patient of its own name."""
        return any(case != patient for case, patient in self.patients.items())

    def values(self, metric: str) -> Values:
        """What is compared: a case counts for a loss once every seed has it."""
        mean = self._mean(metric)
        return {loss: self._of_loss(loss, mean) for loss in self.labels}

    def by_label(self, metric: str) -> LabelValues:
        """The same, label by label."""
        cases = [case for runs in self.by_run.values() for found in runs.values() for case in found]
        structures = dict.fromkeys(label for case in cases for label in case.scores if metric in case.scores[label])
        value = self._label_value(metric)
        values = {
            loss: {label: self._of_loss(loss, partial(value, label)) for label in structures} for loss in self.labels
        }
        volumes = {name: {c.case: c.reference_ml[name] for c in cases if name in c.reference_ml} for name in structures}
        return LabelValues(values, volumes, self.patients)

    def by_fold(self, metric: str) -> FoldScores:
        """What each loss reached in each fold of each seed."""
        mean = self._mean(metric)
        found = {
            loss: {f"{seed}/{fold}": {case.case: mean(case) for case in of} for (seed, fold), of in runs.items()}
            for loss, runs in self.by_run.items()
        }
        return FoldScores(self.folds, found)

    def seed_sd(self, metric: str) -> dict[str, float]:
        """Loss -> standard deviation of its mean over seeds, in the cases that all seeds have; empty with one seed."""
        found = {loss: self._whole(loss, metric) for loss in self.labels}
        return {loss: stdev(_means(cases.values())) for loss, cases in found.items() if cases and len(self.seeds) > 1}

    def pair_seed_sd(self, metric: str) -> dict[tuple[str, str], float]:
        """Two losses -> standard deviation over seeds of their mean difference; empty with one seed."""
        found = {loss: self._whole(loss, metric) for loss in self.labels}
        gaps = {(a, b): _gaps(found[a], found[b]) for a, b in permutations(self.labels, 2)}
        return {pair: stdev(_means(cases)) for pair, cases in gaps.items() if cases and len(self.seeds) > 1}

    def _mean(self, metric: str) -> OfCase:
        """Over labels; sizes before the mean, or a label drawn too large would make up for one drawn too small."""
        value = self._label_value(metric)
        return lambda case: mean_of_defined(value(label, case) for label in case.scores)

    def _label_value(self, metric: str) -> Callable[[str, CaseScores], float | None]:
        """Label, case -> value.

        Where the reference lacks a label and neither does a mask have it, nothing is defined. Once any loss of any seed
        drew it there, that counts as the worst, and for who did not as the best: else drawing what is not there would
        take the case out of the comparison.
        """
        invented = self._invented(metric)

        def value(label: str, case: CaseScores) -> float | None:
            score = case.scores.get(label, {}).get(metric)
            if score is None:
                return None
            if score.status == "both_empty" and (case.case, label) in invented:
                return IDEAL[self.best[metric]]
            return self._sized(metric, score.counted)

        return value

    def _invented(self, metric: str) -> frozenset[tuple[str, str]]:
        """Case and label, where somebody drew a label that the reference lacks, and the metric has a value for it."""
        every = (case for runs in self.by_run.values() for found in runs.values() for case in found)
        return frozenset(
            (case.case, label)
            for case in every
            for label, scores in case.scores.items()
            if (score := scores.get(metric)) is not None and score.status == "ref_empty" and score.counted is not None
        )

    def _sized(self, metric: str, value: float | None) -> float | None:
        """A signed metric is compared by its size: too small is no better than too large."""
        return abs(value) if value is not None and self.best[metric] == "zero" else value

    def _of_loss(self, loss: str, value: OfCase) -> dict[str, float | None]:
        return {case: mean_of_defined(values) for case, values in self._of_seeds(loss, value).items()}

    def _of_seeds(self, loss: str, value: OfCase) -> dict[str, list[float | None]]:
        """Case -> a value a seed, of the cases that every seed has."""
        found: dict[str, dict[int, float | None]] = {}
        for (seed, _), scores in self.by_run[loss].items():
            for case in scores:
                found.setdefault(case.case, {})[seed] = value(case)
        return {c: [of[seed] for seed in self.seeds] for c, of in sorted(found.items()) if len(of) == len(self.seeds)}

    def _whole(self, loss: str, metric: str) -> dict[str, list[float]]:
        """Case -> a value a seed, of the cases in which it is defined for every seed; in the order of seeds."""
        found = self._of_seeds(loss, self._mean(metric))
        whole = {case: [value for value in values if value is not None] for case, values in found.items()}
        return {case: values for case, values in whole.items() if len(values) == len(self.seeds)}


def read_scores(
    runs: Sequence[SweepRun], best: Mapping[str, Best], files: Mapping[SweepRun, Path] | None = None
) -> SweepScores:
    """The scores of runs; `best`: metric -> which values are good ones.

    `files`: run -> its cases.csv; by default those of the runs that are done. DataError where one is damaged.
    """
    if files is None:
        files = {run: run.folder.validation / "cases.csv" for run in runs if run.is_done}
    labels = tuple(dict.fromkeys(run.entry.label for run in runs))
    by_run: dict[str, dict[tuple[int, int], list[CaseScores]]] = {label: {} for label in labels}
    patients: dict[str, str] = {}
    for run, file in files.items():
        found = read_cases_csv(file)
        by_run[run.entry.label][run.seed, run.fold] = found
        patients.update({case.case: case.patient for case in found})
    seeds = tuple(dict.fromkeys(run.seed for run in runs))
    folds = 1 + max((run.fold for run in runs), default=0)
    return SweepScores(labels, tuple(best), seeds, folds, by_run, patients, best)


def _gaps(ours: Mapping[str, list[float]], theirs: Mapping[str, list[float]]) -> list[list[float]]:
    """Differences, seed by seed, in the cases that both have."""
    return [[x - y for x, y in zip(ours[c], theirs[c], strict=True)] for c in ours if c in theirs]


def _means(cases: Iterable[Sequence[float]]) -> list[float]:
    """The mean over cases, seed by seed."""
    return [fmean(values) for values in zip(*cases, strict=True)]
