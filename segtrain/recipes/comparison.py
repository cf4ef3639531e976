"""The runs of a sweep on the disk -> rankings, paired tests, tables and the report; as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from segtrain.config.dump import flat, read_back
from segtrain.config.load import Loaded
from segtrain.core.files import write_json
from segtrain.core.scores import CaseScores, mean_of_defined
from segtrain.metrics.registry import Best
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import epoch_rows
from segtrain.recipes.sweep import SweepRun, meaning_in, runs_of, settings_of
from segtrain.reports.contents import ComparisonReport
from segtrain.reports.curves import Row
from segtrain.reports.page import write_comparison_report
from segtrain.reports.tables import Cell, read_cases_csv, write_csv
from segtrain.statistics.comparison import Comparison, FoldMeans, PairRow, RankingRow, Rules, compare
from segtrain.statistics.ranking import agreement

Values = dict[str, dict[str, float | None]]
"""Loss -> case -> mean over its labels, averaged over seeds; None where it is not defined."""

PAIR_COLUMNS = tuple(f.name for f in fields(PairRow) if f.name != "differences")
RANKING_COLUMNS = tuple(f.name for f in fields(RankingRow))


@dataclass(frozen=True, eq=False)
class SweepScores:
    """Out-of-fold scores of all runs that ended well."""

    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    seeds: tuple[int, ...]
    by_run: Mapping[str, Mapping[tuple[int, int], Sequence[CaseScores]]]
    """Loss -> seed and fold -> scores of the cases held out there."""
    patients: Mapping[str, str]
    best: Mapping[str, Best]
    """Metric -> which values are good ones."""

    def values(self, metric: str) -> Values:
        """What is compared: a case counts for a loss once every seed has it."""
        found = {loss: self._of_loss(loss, metric) for loss in self.labels}
        return {loss: {case: self._sized(metric, v) for case, v in of.items()} for loss, of in found.items()}

    def _sized(self, metric: str, value: float | None) -> float | None:
        """A signed metric is compared by its size: too small is no better than too large."""
        return abs(value) if value is not None and self.best[metric] == "zero" else value

    def _of_loss(self, loss: str, metric: str) -> dict[str, float | None]:
        found: dict[str, list[float | None]] = {}
        for scores in self.by_run[loss].values():
            for case in scores:
                found.setdefault(case.case, []).append(case.mean(metric))
        whole = {case: values for case, values in found.items() if len(values) == len(self.seeds)}
        return {case: mean_of_defined(values) for case, values in sorted(whole.items())}

    def by_fold(self, metric: str) -> FoldMeans:
        """What each loss reached in each fold of each seed."""
        found: dict[str, dict[str, float]] = {loss: {} for loss in self.labels}
        for loss, runs in self.by_run.items():
            for (seed, fold), scores in runs.items():
                mean = mean_of_defined(self._sized(metric, case.mean(metric)) for case in scores)
                if mean is not None:
                    found[loss][f"{seed}/{fold}"] = mean
        return FoldMeans(1 + max((fold for runs in self.by_run.values() for _, fold in runs), default=0), found)

    def seed_sd(self, metric: str) -> dict[str, float]:
        """Loss -> standard deviation of its mean over seeds; empty with one seed."""
        means = {
            loss: [
                mean_of_defined(case.mean(metric) for (s, _), scores in runs.items() if s == seed for case in scores)
                for seed in self.seeds
            ]
            for loss, runs in self.by_run.items()
        }
        known = {loss: [m for m in found if m is not None] for loss, found in means.items()}
        return {loss: stdev(found) for loss, found in known.items() if len(found) > 1}


def conclude(sweep: Path) -> dict[str, Any]:
    """Write ranking.csv, pairwise.csv, claims.csv, summary.json and report.html; returns the summary."""
    folder = RunFolder(sweep)
    loaded = read_back(folder.config)
    settings = settings_of(loaded)
    runs = runs_of(settings, sweep)
    meaning = meaning_in(folder.record)
    scores = read_scores(runs, meaning.best)
    comparisons = {metric: _compare(scores, metric, settings.baseline) for metric in scores.metrics}
    headline = scores.metrics[0]
    _write_tables(sweep, comparisons, scores)
    summary = {
        "schema_version": 1,
        "metric": headline,
        **_plain(comparisons[headline]),
        "metrics": {metric: _plain(found) for metric, found in comparisons.items()},
        "agreement": [{"a": a, "b": b, "tau": tau} for a, b, tau in agreements(comparisons)],
        "seeds": list(settings.seeds),
        "folds": settings.folds,
        "runs": len(runs),
        "failed_runs": {run.name: run.failure for run in runs if run.failure is not None},
    }
    write_json(sweep / "summary.json", summary)
    notes = [f"{name} diverged: {message}" for name, message in summary["failed_runs"].items()]
    report = ComparisonReport(
        title=f"Losses compared: {sweep.resolve().name}",
        facts=_facts(loaded, runs),
        config=[(key, str(value), origin) for key, value, origin in flat(loaded)],
        comparisons=comparisons,
        curves={label: mean_curve([r for r in runs if r.entry.label == label]) for label in scores.labels},
        notes=notes,
        declared=meaning.declared,
        seed_sd={metric: scores.seed_sd(metric) for metric in scores.metrics},
    )
    write_comparison_report(folder.report, report)
    return summary


def _facts(loaded: Loaded, runs: Sequence[SweepRun]) -> dict[str, str]:
    settings = settings_of(loaded)
    counts = {"losses": settings.losses, "folds": range(settings.folds), "seeds": settings.seeds}
    facts = {name: str(len(things)) for name, things in counts.items()}
    if loaded.config.training.budget_minutes is not None:
        first = runs[0]
        facts["steps an epoch"] = f"{first.steps_per_epoch} in every run, as timed once, for {first.name}"
    return facts


def read_scores(runs: Sequence[SweepRun], best: Mapping[str, Best]) -> SweepScores:
    """cases.csv of every run that is done; `best`: metric -> which values are good ones."""
    labels = tuple(dict.fromkeys(run.entry.label for run in runs))
    by_run: dict[str, dict[tuple[int, int], list[CaseScores]]] = {label: {} for label in labels}
    patients: dict[str, str] = {}
    for run in runs:
        if not run.is_done:
            continue
        found = read_cases_csv(run.folder.validation / "cases.csv")
        by_run[run.entry.label][run.seed, run.fold] = found
        patients.update({case.case: case.patient for case in found})
    seeds = tuple(dict.fromkeys(run.seed for run in runs))
    return SweepScores(labels, tuple(best), seeds, by_run, patients, best)


def mean_curve(runs: Sequence[SweepRun]) -> list[Row]:
    """Rows of metrics.csv by epoch, averaged over folds and seeds."""
    by_epoch: dict[float, list[Row]] = {}
    for run in runs:
        for row in epoch_rows(run.folder):
            by_epoch.setdefault(row["epoch"] or 0, []).append(row)
    return [
        {key: mean_of_defined(row.get(key) for row in rows) for key in rows[0]} for _, rows in sorted(by_epoch.items())
    ]


def _compare(scores: SweepScores, metric: str, baseline: str) -> Comparison:
    rules = Rules(higher_is_better=scores.best[metric] == "higher")
    return compare(scores.values(metric), scores.patients, baseline, 0, rules, scores.by_fold(metric))


def _write_tables(sweep: Path, comparisons: Mapping[str, Comparison], scores: SweepScores) -> None:
    ranking = [
        [metric, *(getattr(row, name) for name in RANKING_COLUMNS)]
        for metric, found in comparisons.items()
        for row in found.ranking
    ]
    write_csv(sweep / "ranking.csv", ["metric", *RANKING_COLUMNS], ranking)
    pairs = [
        [metric, *(getattr(row, name) for name in PAIR_COLUMNS)]
        for metric, found in comparisons.items()
        for row in found.pairs
    ]
    write_csv(sweep / "pairwise.csv", ["metric", *PAIR_COLUMNS], pairs)
    values = scores.values(scores.metrics[0])
    cases = sorted({case for found in values.values() for case in found})
    claims: list[list[Cell]] = [[case, *(values[loss].get(case) for loss in scores.labels)] for case in cases]
    write_csv(sweep / "claims.csv", ["case_id", *scores.labels], claims)


def agreements(comparisons: Mapping[str, Comparison]) -> Iterator[tuple[str, str, float | None]]:
    """Two metrics, and Kendall's tau between the orders in which they put the losses that both have a mean of."""
    badness = {
        metric: {
            row.loss: -row.mean if found.rules.higher_is_better else row.mean
            for row in found.ranking
            if row.mean is not None
        }
        for metric, found in comparisons.items()
    }
    for a, b in combinations(badness, 2):
        common = [loss for loss in badness[a] if loss in badness[b]]
        sides = [np.array([badness[metric][loss] for loss in common]) for metric in (a, b)]
        yield a, b, agreement(*sides) if len(common) > 1 else None


def _plain(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    found = comparison.friedman
    return {
        "friedman": None if found is None else {**asdict(found), "losses": list(comparison.compared)},
        "places": {loss: list(shares) for loss, shares in comparison.places.items()},
        "baseline": comparison.baseline,
        "cases": comparison.n_cases,
        "patients": comparison.n_patients,
        "ranking": [asdict(row) for row in comparison.ranking],
        "pairs": [{name: getattr(row, name) for name in PAIR_COLUMNS} for row in comparison.pairs],
    }
