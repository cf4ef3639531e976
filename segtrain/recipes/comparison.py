"""The runs of a sweep on the disk -> rankings, paired tests, tables, figures and the report; as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.config.dump import flat, read_back
from segtrain.config.load import Loaded
from segtrain.core.files import write_json, write_text
from segtrain.core.scores import mean_of_defined
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import epoch_rows
from segtrain.recipes.sweep import Meaning, SweepRun, meaning_in, runs_of, settings_of
from segtrain.recipes.sweep_costs import costs
from segtrain.recipes.sweep_facts import definitions_of, facts_of
from segtrain.recipes.sweep_pictures import pictures
from segtrain.recipes.sweep_scores import SweepScores, read_scores
from segtrain.reports.breakdown import BREAKDOWN_COLUMNS, Breakdown, breakdown, breakdown_rows
from segtrain.reports.comparison_plots import filed_plots
from segtrain.reports.contents import ComparisonReport, LossCost, SweepFacts
from segtrain.reports.curves import Row
from segtrain.reports.latex import ranking_tex
from segtrain.reports.methods import methods_text
from segtrain.reports.page import write_comparison_report
from segtrain.reports.plots import write_plots
from segtrain.reports.shown_metric import shown_metrics
from segtrain.reports.tables import Cell, write_csv
from segtrain.reports.wording import count
from segtrain.statistics.comparison import Comparison, PairRow, RankingRow, Rules, compare
from segtrain.statistics.ranking import agreement

PAIR_COLUMNS = tuple(f.name for f in fields(PairRow) if f.name != "differences")
RANKING_COLUMNS = tuple(f.name for f in fields(RankingRow))
SEED_SD = "seed_sd"
"""The last column of both: standard deviation over seeds, of a mean or of a mean difference."""
COST_COLUMNS = tuple(f.name for f in fields(LossCost))


def conclude(sweep: Path) -> dict[str, Any]:
    """Write tables, summary.json, figures, methods.txt and report.html; returns the summary.

    DataError where a file of a run is missing or damaged, ResourceError where the folder cannot be written.
    """
    folder = RunFolder(sweep)
    loaded = read_back(folder.config)
    settings = settings_of(loaded)
    runs = runs_of(settings, sweep)
    meaning = meaning_in(folder.record)
    scores = read_scores(runs, meaning.best)
    comparisons = {metric: _compare(scores, metric, settings.baseline) for metric in scores.metrics}
    by_label = {metric: breakdown(scores.by_label(metric)) for metric in scores.metrics}
    _write_tables(sweep, comparisons, by_label, scores)
    summary = _summary(comparisons, runs, loaded)
    write_json(sweep / "summary.json", summary)
    report = _report(loaded, meaning, runs, scores, comparisons, by_label[scores.metrics[0]])
    write_csv(sweep / "costs.csv", COST_COLUMNS, [[getattr(c, name) for name in COST_COLUMNS] for c in report.costs])
    write_text(sweep / "methods.txt", methods_text(report))
    write_text(sweep / "ranking.tex", ranking_tex(report))
    write_plots(sweep / "figures", filed_plots(report))
    write_comparison_report(folder.report, report)
    return summary


def _report(
    loaded: Loaded,
    meaning: Meaning,
    runs: Sequence[SweepRun],
    scores: SweepScores,
    comparisons: Mapping[str, Comparison],
    by_label: Breakdown,
) -> ComparisonReport:
    """What the page, the figures and the texts are made of."""
    definitions, made = definitions_of(runs), facts_of(loaded, runs, scores)
    (headline,) = shown_metrics(scores.metrics[:1], definitions)
    notes = list(_diverged(runs))
    order = [row.loss for row in comparisons[headline.key].ranking if row.mean is not None]
    shown = pictures(scores, runs, order, headline, notes)
    return ComparisonReport(
        title=f"Losses compared: {runs[0].sweep.resolve().name}",
        facts=_facts(loaded, runs, made),
        config=[(key, str(value), origin) for key, value, origin in flat(loaded)],
        comparisons=comparisons,
        curves={label: mean_curve([r for r in runs if r.entry.label == label]) for label in scores.labels},
        notes=notes,
        declared=meaning.declared,
        made=made,
        seed_sd={metric: scores.seed_sd(metric) for metric in scores.metrics},
        pair_seed_sd={metric: scores.pair_seed_sd(metric) for metric in scores.metrics},
        agreement=list(agreements(comparisons)),
        by_label=by_label,
        costs=costs(runs),
        pictures=shown,
        definitions=definitions,
    )


def _diverged(runs: Sequence[SweepRun]) -> Iterator[str]:
    """A sentence for each loss that diverged: its first run, and how many more."""
    for loss in dict.fromkeys(run.entry.label for run in runs):
        of = [run for run in runs if run.entry.label == loss]
        failed = [run for run in of if run.failure is not None]
        if failed:
            more = f" {len(failed)} of its {len(of)} runs diverged." if len(failed) > 1 else ""
            why = " ".join(str(failed[0].failure).split()).rstrip(".")
            yield f"{failed[0].name} diverged: {why}.{more}"


def _summary(comparisons: Mapping[str, Comparison], runs: Sequence[SweepRun], loaded: Loaded) -> dict[str, Any]:
    settings = settings_of(loaded)
    headline = next(iter(comparisons))
    return {
        "schema_version": 1,
        "metric": headline,
        **_plain(comparisons[headline]),
        "metrics": {metric: _plain(found) for metric, found in comparisons.items()},
        "agreement": [{"a": a, "b": b, "tau": tau} for a, b, tau in agreements(comparisons)],
        "seeds": list(settings.seeds),
        "folds": settings.folds,
        "runs": len(runs),
        "failed_runs": {run.name: run.failure for run in runs if run.failure is not None},
        "unfinished_runs": [run.name for run in runs if run.failure is None and not run.is_done],
    }


def _facts(loaded: Loaded, runs: Sequence[SweepRun], made: SweepFacts) -> dict[str, str]:
    patients = f" of {count(made.patients, 'patient')}" if made.patients_known else "; patients are not known"
    facts = {
        "losses": str(len(made.losses)),
        "folds": str(made.folds),
        "seeds": str(len(made.seeds)),
        "cases": f"{made.cases}{patients}",
        "steps of a training": " or ".join(map(str, made.steps)),
    }
    facts = {name: text for name, text in facts.items() if text}
    if loaded.config.training.budget_minutes is not None:
        first = runs[0]
        facts["steps an epoch"] = f"{first.steps_per_epoch} in every run, as timed once, for {first.name}"
    return facts


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


def _write_tables(
    sweep: Path, comparisons: Mapping[str, Comparison], by_label: Mapping[str, Breakdown], scores: SweepScores
) -> None:
    seed_sd = {metric: (scores.seed_sd(metric), scores.pair_seed_sd(metric)) for metric in comparisons}
    ranking = [
        [metric, *(getattr(row, name) for name in RANKING_COLUMNS), seed_sd[metric][0].get(row.loss)]
        for metric, found in comparisons.items()
        for row in found.ranking
    ]
    write_csv(sweep / "ranking.csv", ["metric", *RANKING_COLUMNS, SEED_SD], ranking)
    pairs = [
        [metric, *(getattr(row, name) for name in PAIR_COLUMNS), seed_sd[metric][1].get((row.a, row.b))]
        for metric, found in comparisons.items()
        for row in found.pairs
    ]
    write_csv(sweep / "pairwise.csv", ["metric", *PAIR_COLUMNS, SEED_SD], pairs)
    parts = [row for metric, found in by_label.items() for row in breakdown_rows(metric, found)]
    write_csv(sweep / "by_label.csv", BREAKDOWN_COLUMNS, parts)
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
