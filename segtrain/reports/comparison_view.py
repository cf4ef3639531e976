"""What the page of a comparison shows, section by section, as plain values for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segtrain.core.words import count
from segtrain.reports import comparison_plots
from segtrain.reports.breakdown import SIZES, Part, PartMean
from segtrain.reports.canvas import Drawing
from segtrain.reports.contents import ComparisonReport, LossCost
from segtrain.reports.curves import curve, metrics_in
from segtrain.reports.findings import clear_winner, finding, needed, training_cautions, verdict_word
from segtrain.reports.halving_view import halving_view
from segtrain.reports.methods import margin_words, methods_text
from segtrain.reports.plots import Plot, drawing
from segtrain.reports.shown_metric import ShownMetric, shown_metrics
from segtrain.reports.wording import (
    UNDEFINED,
    interval_signed,
    number,
    p_value,
    place,
    places,
    signed,
)
from segtrain.statistics.comparison import Comparison, PairRow, RankingRow
from segtrain.statistics.verdict import FEWEST_PATIENTS

WORD_CLASS = {
    "better": "good",
    "worse": "bad",
    "equivalent": "even",
    "not decided": "open",
    "too few patients": "open",
    "failed": "bad",
}
"""Verdict -> look of its tag; the word itself is always printed."""

MOST_UNFINISHED = 6
"""Runs without an end that are named."""


def comparison_view(report: ComparisonReport) -> dict[str, Any]:
    """Everything of the page but its frame, its cautions about patients, and the definitions."""
    metrics = shown_metrics(report.comparisons, report.definitions)
    return {
        "metrics": [metric_view(report, metric) for metric in metrics],
        "unit": report.made.unit,
        "missing": _missing(report),
        "training_cautions": [*_training_cautions(report, metrics), *report.cautions],
        "agreement": agreement_table(report, metrics),
        "halving": _halving(report, metrics),
        "curves": _drawn(comparison_plots.curve_plots(report)),
        "sizes": sizes_view(report, metrics[0]) if metrics else None,
        "balance": _balance(report),
        "costs": cost_rows(report.costs, report.made.baseline),
        "pictures": list(report.pictures),
        "declared": list(report.declared),
        "methods": methods_text(report),
        "margins": margin_words(report),
        "fewest": FEWEST_PATIENTS,
    }


def metric_view(report: ComparisonReport, metric: ShownMetric) -> dict[str, Any]:
    """Everything the page shows for one metric."""
    comparison, unit = report.comparisons[metric.key], report.made.unit
    seed_sd, pair_sd = report.seed_sd.get(metric.key, {}), report.pair_seed_sd.get(metric.key, {})
    winner = clear_winner(comparison)
    return {
        "key": metric.key,
        "name": metric.heading,
        "direction": metric.direction,
        "finding": finding(comparison, metric.name, unit),
        "needed": needed(comparison, unit),
        "ranking": [_ranking_row(row, comparison, metric, winner, seed_sd) for row in comparison.ranking],
        "has_seed_sd": bool(seed_sd),
        "baseline_rows": [_pair_row(row, unit, pair_sd) for row in comparison.against_baseline],
        "other_rows": [_pair_row(row, unit, pair_sd) for row in comparison.pairs if row.b != comparison.baseline],
        "has_folds": any(row.fold_p is not None for row in comparison.pairs),
        "baseline": comparison.baseline,
        "margin": margin_text(comparison, metric),
        "common": f"{comparison.n_common} of {comparison.n_cases}",
        "people": count(comparison.n_patients, unit),
        "friedman": friedman_sentence(comparison, unit),
        "figures": _drawn(comparison_plots.metric_plots(report, metric.key)),
    }


def margin_text(comparison: Comparison, metric: ShownMetric) -> str:
    """`0.01`, `1 mm`, or nothing where there is no margin."""
    margin = comparison.rules.margin
    return "" if margin is None else f"{margin:g}{f' {metric.unit}' if metric.unit else ''}"


def friedman_sentence(comparison: Comparison, unit: str) -> str:
    """Whether the losses differ at all, or why that is not asked."""
    found = comparison.friedman
    if found is None:
        return "Friedman's test and the critical-difference diagram need three losses with results."
    if found.n < FEWEST_PATIENTS:
        return f"Friedman's test is not made under {FEWEST_PATIENTS} {unit}s."
    said = f"p {p_value(found.p)}" if found.p < 0.001 else f"p = {p_value(found.p)}"
    if found.p >= 0.05:
        return f"Friedman's test over {found.n} {unit}s finds no difference between the losses ({said})."
    return (
        f"Friedman's test over {found.n} {unit}s finds that the losses differ ({said}). Losses joined by a bar in the "
        f"critical-difference diagram are not told apart by their ranks."
    )


def agreement_table(report: ComparisonReport, metrics: Sequence[ShownMetric]) -> list[dict[str, Any]]:
    """Kendall's tau between the orders of losses, a row a metric; empty with one metric."""
    if not report.agreement:
        return []
    taus = {pair: number(tau, 2) for a, b, tau in report.agreement for pair in ((a, b), (b, a))}
    return [
        {
            "name": row.name,
            "cells": ["1" if row is column else taus[row.key, column.key] for column in metrics],
        }
        for row in metrics
    ]


def sizes_view(report: ComparisonReport, metric: ShownMetric) -> dict[str, Any] | None:
    """The headline metric label by label: what is small first, then each label whole and in thirds."""
    parts = report.by_label
    if not parts:
        return None
    losses = report.comparisons[metric.key].finished
    labels = list(dict.fromkeys(part.label for part in parts))
    plots = {label: file for file, label in comparison_plots.named(labels).items()}
    drawn = {file: drawing(plot) for file, plot in comparison_plots.size_plots(report).items()}
    small = [part for part in parts if part.size == "small"]

    def table(of: Sequence[Part]) -> list[dict[str, Any]]:
        return [{"loss": loss, "cells": [_part_cell(parts[p][loss], p, metric) for p in of]} for loss in losses]

    return {
        "metric": metric.heading,
        "small": table(small),
        "small_heads": [(part.label, part.span) for part in small],
        "labels": [
            {"label": label, "drawing": drawn.get(plots[label]), "heads": _heads(of), "rows": table(of)}
            for label in labels
            if (of := [part for part in parts if part.label == label])
        ],
        "has_thirds": any(part.size in SIZES for part in parts),
    }


def cost_rows(costs: Sequence[LossCost], baseline: str) -> list[dict[str, str]]:
    """What each loss costs, beside the baseline; empty where no run tells."""
    if all(cost.step_seconds is None for cost in costs):
        return []
    usual = next((cost.step_seconds for cost in costs if cost.loss == baseline), None)
    return [
        {
            "loss": cost.loss,
            "step": _milliseconds(cost.step_seconds),
            "span": f"{_milliseconds(cost.step_seconds_low)} to {_milliseconds(cost.step_seconds_high)}",
            "ratio": number(cost.step_seconds / usual, 2) if cost.step_seconds and usual else UNDEFINED,
            "minutes": number(cost.run_minutes, 1),
            "memory": number(cost.memory_mib, 0),
            "runs": str(cost.runs),
        }
        for cost in costs
    ]


def _milliseconds(seconds: float | None) -> str:
    return number(None if seconds is None else 1000 * seconds, 0 if seconds is not None and seconds >= 0.1 else 1)


def _drawn(plots: Mapping[str, Plot]) -> dict[str, Drawing]:
    return {kind: drawing(plot) for kind, plot in plots.items()}


def _missing(report: ComparisonReport) -> str:
    """Runs that have no result, though they did not diverge."""
    names = report.made.unfinished
    if not names:
        return ""
    shown = "; ".join(names[:MOST_UNFINISHED])
    more = f"; and {len(names) - MOST_UNFINISHED} more" if len(names) > MOST_UNFINISHED else ""
    return (
        f"{count(len(names), 'run')} did not end, or broke off: {shown}{more}. Their losses are incomplete: they are "
        "compared on fewer cases than the others. compare-losses --resume does what is missing."
    )


def _training_cautions(report: ComparisonReport, metrics: Sequence[ShownMetric]) -> list[str]:
    columns = metrics_in(row for rows in report.curves.values() for row in rows)[:1]
    curves = [curve(rows, column) for column in columns for rows in report.curves.values()]
    upwards = not metrics or not metrics[0].more_is_worse
    return list(training_cautions(report.made, curves, more_is_better=upwards))


def _halving(report: ComparisonReport, metrics: Sequence[ShownMetric]) -> dict[str, Any] | None:
    if report.halving is None or not metrics:
        return None
    plots = comparison_plots.halving_plots(report)
    return {**halving_view(report.halving, metrics[0], report.made.unit), "figures": list(_drawn(plots).values())}


def _balance(report: ComparisonReport) -> dict[str, Any]:
    plot = comparison_plots.balance_plot(report)
    wanted = (comparison_plots.RECALL, comparison_plots.PRECISION)
    missing = [name for name in wanted if name not in report.comparisons]
    add = f"evaluation: {{metrics: [{', '.join([*report.comparisons, *missing])}]}}"
    return {"drawing": drawing(plot) if plot else None, "missing": missing, "add": add}


def _heads(parts: Sequence[Part]) -> list[tuple[str, str]]:
    return [(part.size, part.span) for part in parts]


def _part_cell(found: PartMean, part: Part, metric: ShownMetric) -> dict[str, str]:
    return {
        "mean": metric.text(found.mean),
        "interval": metric.interval(found.low, found.high),
        "defined": f"{found.n} / {len(part.cases)}",
    }


def _ranking_row(
    row: RankingRow, comparison: Comparison, metric: ShownMetric, winner: str | None, seed_sd: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "loss": row.loss,
        "is_baseline": row.loss == comparison.baseline,
        "is_winner": row.loss == winner,
        "rank": place(row.rank),
        "ranks": places(row.rank_low, row.rank_high),
        "first": UNDEFINED if row.first is None else f"{100 * row.first:.0f} %",
        "mean_rank": number(row.mean_rank, 2),
        "mean": metric.text(row.mean),
        "interval": metric.interval(row.low, row.high),
        "defined": f"{row.n} / {row.n_total}",
        "status": row.status,
        "reason": row.reason,
        "seed_sd": metric.spread_text(seed_sd.get(row.loss)),
    }


def _pair_row(row: PairRow, unit: str, seed_sd: Mapping[tuple[str, str], float]) -> dict[str, Any]:
    return {
        "a": row.a,
        "b": row.b,
        "difference": signed(row.difference),
        "interval": interval_signed(row.low, row.high),
        "seed_sd": number(seed_sd.get((row.a, row.b))),
        "p": p_value(row.p),
        "p_holm": p_value(row.p_holm),
        "fold_p": p_value(row.fold_p),
        "fold_interval": interval_signed(row.fold_low, row.fold_high),
        "effect": signed(row.effect, 2),
        "p_superior": number(row.p_superior, 2),
        "defined": f"{row.n_cases} / {row.n_cases + row.n_undefined}",
        "patients": row.n_patients,
        "verdict": verdict_word(row.verdict, unit),
        "look": WORD_CLASS[row.verdict],
    }
