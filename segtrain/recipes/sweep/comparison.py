"""The runs of a sweep on the disk -> rankings, paired tests, tables, figures and the report; as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.config.dump import flat, read_back
from segtrain.config.load import Loaded
from segtrain.core.files import write_json, write_text
from segtrain.core.scores import mean_of_defined
from segtrain.core.words import count
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import epoch_rows
from segtrain.recipes.sweep.costs import costs
from segtrain.recipes.sweep.facts import definitions_of, facts_of
from segtrain.recipes.sweep.pictures import pictures
from segtrain.recipes.sweep.plan import Meaning, SweepRun, meaning_in, runs_of, settings_of, timed_run
from segtrain.recipes.sweep.rungs import decisions_in, rung_epochs, saved_share, still_in
from segtrain.recipes.sweep.scores import SweepScores, read_scores
from segtrain.recipes.sweep.status import Endings, found_nothing, with_endings, without_end
from segtrain.reports.breakdown import BREAKDOWN_COLUMNS, Breakdown, breakdown, breakdown_rows
from segtrain.reports.comparison_plots import filed_plots
from segtrain.reports.contents import ComparisonReport, Halving, LossCost, SweepFacts
from segtrain.reports.curves import Row
from segtrain.reports.halving_view import HALVING_COLUMNS, halving_rows
from segtrain.reports.latex import ranking_tex
from segtrain.reports.methods import methods_text
from segtrain.reports.page import write_comparison_report
from segtrain.reports.plots import write_plots
from segtrain.reports.shown_metric import shown_metrics
from segtrain.reports.tables import Cell, write_csv
from segtrain.statistics.comparison import Comparison, PairRow, RankingRow, Rules, compare
from segtrain.statistics.ranking import agreement

PAIR_COLUMNS = tuple(f.name for f in fields(PairRow) if f.name != "differences")
RANKING_COLUMNS = tuple(f.name for f in fields(RankingRow))
SEED_SD = "seed_sd"
"""The last column of both: standard deviation over seeds, of a mean or of a mean difference."""
COST_COLUMNS = tuple(f.name for f in fields(LossCost))


@dataclass(frozen=True, eq=False)
class Concluded:
    """A sweep and what its scores say."""

    loaded: Loaded
    meaning: Meaning
    runs: Sequence[SweepRun]
    scores: SweepScores
    """Of the losses that were not dropped."""
    comparisons: Mapping[str, Comparison]
    by_label: Mapping[str, Breakdown]
    known: Endings

    @property
    def halving(self) -> Halving | None:
        """How losses were dropped early; None where none could be."""
        if not rung_epochs(self.loaded):
            return None
        return Halving(tuple(self.known.rungs), saved_share(self.runs, self.known.rungs))


def conclude(sweep: Path) -> dict[str, Any]:
    """Write tables, summary.json, figures, methods.txt and report.html; returns the summary.

    DataError where a file of a run is missing or damaged, ResourceError where the folder cannot be written.
    """
    folder = RunFolder(sweep)
    found = concluded(folder)
    _write_tables(sweep, found)
    summary = _summary(found)
    write_json(sweep / "summary.json", summary)
    report = _report(found)
    write_csv(sweep / "costs.csv", COST_COLUMNS, [[getattr(c, name) for name in COST_COLUMNS] for c in report.costs])
    if report.halving is not None:
        write_csv(sweep / "halving.csv", HALVING_COLUMNS, halving_rows(report.halving.rungs))
    write_text(sweep / "methods.txt", methods_text(report))
    write_text(sweep / "ranking.tex", ranking_tex(report))
    write_plots(sweep / "figures", filed_plots(report))
    write_comparison_report(folder.report, report)
    return summary


def concluded(folder: RunFolder) -> Concluded:
    """Everything that is said of a sweep, from its files. DataError where one is missing or damaged."""
    loaded = read_back(folder.config)
    settings = settings_of(loaded)
    runs, rungs = runs_of(settings, folder.path), decisions_in(folder.path, loaded)
    meaning = meaning_in(folder.record)
    scores = read_scores(still_in(runs, rungs), meaning.best)
    known = Endings(_diverged(runs), found_nothing(scores), rungs, without_end(scores))
    comparisons = {
        metric: with_endings(_compare(scores, metric, settings.baseline, _rules(meaning, metric, known)), known)
        for metric in scores.metrics
    }
    by_label = {metric: breakdown(scores.by_label(metric)) for metric in scores.metrics}
    return Concluded(loaded, meaning, runs, scores, comparisons, by_label, known)


def _report(found: Concluded) -> ComparisonReport:
    """What the page, the figures and the texts are made of."""
    runs, scores, comparisons, known = found.runs, found.scores, found.comparisons, found.known
    dropped = [loss for rung in known.rungs for loss in rung.dropped]
    definitions, made = definitions_of(runs), facts_of(found.loaded, runs, scores, dropped)
    (headline,) = shown_metrics(scores.metrics[:1], definitions)
    notes = [*known.diverged.values(), *(f"{loss} has failed: {why}." for loss, why in known.found_nothing.items())]
    order = [row.loss for row in comparisons[headline.key].ranking if row.mean is not None]
    shown = pictures(scores, runs, order, headline, notes)
    return ComparisonReport(
        title=f"Losses compared: {runs[0].sweep.resolve().name}",
        facts=_facts(found.loaded, runs, made),
        config=[(key, str(value), origin) for key, value, origin in flat(found.loaded)],
        comparisons=comparisons,
        curves={loss: mean_curve([r for r in runs if r.entry.label == loss]) for loss in made.losses},
        notes=notes,
        declared=found.meaning.declared,
        made=made,
        seed_sd={metric: scores.seed_sd(metric) for metric in scores.metrics},
        pair_seed_sd={metric: scores.pair_seed_sd(metric) for metric in scores.metrics},
        agreement=list(agreements(comparisons)),
        by_label=found.by_label[headline.key],
        costs=costs(runs),
        pictures=shown,
        definitions=definitions,
        halving=found.halving,
        found_nothing=known.found_nothing,
        cautions=[f"{text}." for text in found.meaning.cautions],
    )


def _diverged(runs: Sequence[SweepRun]) -> dict[str, str]:
    """Loss -> a sentence, for each that diverged: its first run, and how many more."""
    told = {}
    for loss in dict.fromkeys(run.entry.label for run in runs):
        of = [run for run in runs if run.entry.label == loss]
        failed = [run for run in of if run.failure is not None]
        if failed:
            more = f" {len(failed)} of its {len(of)} runs diverged." if len(failed) > 1 else ""
            why = " ".join(str(failed[0].failure).split()).rstrip(".")
            told[loss] = f"{failed[0].name} diverged: {why}.{more}"
    return told


def _summary(found: Concluded) -> dict[str, Any]:
    comparisons, runs, settings = found.comparisons, found.runs, settings_of(found.loaded)
    headline = next(iter(comparisons))
    left = still_in(runs, found.known.rungs)
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
        "nothing_found": dict(found.known.found_nothing),
        "unfinished_runs": [run.name for run in left if run.failure is None and not run.is_done],
        "strategy": settings.strategy,
        "decisions": [dict(zip(HALVING_COLUMNS, row, strict=True)) for row in halving_rows(found.known.rungs)],
        "saved_share_of_steps": saved_share(runs, found.known.rungs),
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
    if loaded.config.training.budget_minutes is not None and (timed := timed_run(runs)) is not None:
        facts["steps an epoch"] = f"{timed.steps_per_epoch} in every run, as timed once, for {timed.name}"
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


def _rules(meaning: Meaning, metric: str, known: Endings) -> Rules:
    dropped = sum(len(rung.dropped) for rung in known.rungs)
    return Rules(meaning.margin(metric), higher_is_better=meaning.best[metric] == "higher", dropped=dropped)


def _compare(scores: SweepScores, metric: str, baseline: str, rules: Rules) -> Comparison:
    return compare(scores.values(metric), scores.patients, baseline, 0, rules, scores.by_fold(metric))


def _write_tables(sweep: Path, concluded: Concluded) -> None:
    comparisons, by_label, scores = concluded.comparisons, concluded.by_label, concluded.scores
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
    """Two metrics, and Kendall's tau between the places that they give the losses which both rank."""
    badness = {
        metric: {row.loss: row.rank for row in found.ranking if row.rank is not None}
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
