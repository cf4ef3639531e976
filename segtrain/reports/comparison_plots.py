"""Which plots a comparison of losses has, by the names that their files get."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count

from segtrain.reports.contents import ComparisonReport
from segtrain.reports.curves import LOSS, metrics_in
from segtrain.reports.halving_view import trained_until
from segtrain.reports.loss_figures import (
    loss_curves,
    loss_differences,
    loss_means,
    off_the_scale,
    precision_recall,
    size_means,
)
from segtrain.reports.plots import Plot
from segtrain.reports.rank_figures import critical_difference, place_shares
from segtrain.reports.shown_metric import shown_metrics

UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
"""What a label or a metric's path may hold, and the name of a file had better not."""

PRECISION, RECALL = "precision", "sensitivity"


def filed_plots(report: ComparisonReport) -> dict[str, Plot]:
    """The plots that become files: those of the headline metric, the curves, the sizes, and precision and recall.

    Other metrics have their plots on the page and their numbers in the tables: two files for each of their plots
    would take longer than all the rest.
    """
    headline = metric_plots(report, next(iter(report.comparisons))) if report.comparisons else {}
    sizes = {f"size-{file}": plot for file, plot in size_plots(report).items()}
    balance = balance_plot(report)
    beside = halving_plots(report) | ({} if balance is None else {"precision-recall": balance})
    return headline | curve_plots(report) | sizes | beside


def halving_plots(report: ComparisonReport) -> dict[str, Plot]:
    """How long each loss was trained, where some might have been dropped."""
    plot = None if report.halving is None else trained_until(report.halving, report.made.losses)
    return {} if plot is None else {"halving": plot}


def metric_plots(report: ComparisonReport, metric: str) -> dict[str, Plot]:
    """Means, differences, critical differences and places by one metric; what cannot be drawn is left out."""
    comparison, name, unit = report.comparisons[metric], heading(report, metric), report.made.unit
    has_pairs = any(row.difference is not None for row in comparison.against_baseline)
    drawn = {
        "means": loss_means(comparison, name, unit),
        "differences": loss_differences(comparison, name, unit) if has_pairs else None,
        "critical-difference": critical_difference(comparison, name, unit),
        "places": place_shares(comparison, name, unit),
    }
    return {kind: plot for kind, plot in drawn.items() if plot is not None}


def curve_plots(report: ComparisonReport) -> dict[str, Plot]:
    """Validation by the first metric, and the training loss."""
    first = metrics_in(row for rows in report.curves.values() for row in rows)[:1]
    columns = [*(("curves", column) for column in first), ("training-loss", LOSS)]
    drawn = {name: loss_curves(report.curves, column, report.made.baseline) for name, column in columns}
    return {name: plot for name, plot in drawn.items() if plot is not None}


def size_plots(report: ComparisonReport) -> dict[str, Plot]:
    """File name of a label -> its thirds by size, by the headline metric."""
    if not report.comparisons:
        return {}
    headline = next(iter(report.comparisons))
    off = off_the_scale(report.comparisons[headline])
    losses = [loss for loss in report.comparisons[headline].finished if loss not in off]
    labels = named(part.label for part in report.by_label)
    drawn = {
        file: size_means(report.by_label, label, losses, heading(report, headline)) for file, label in labels.items()
    }
    return {file: plot for file, plot in drawn.items() if plot is not None}


def balance_plot(report: ComparisonReport) -> Plot | None:
    """Precision against recall, where both were measured."""
    found = report.comparisons
    if not {PRECISION, RECALL} <= found.keys():
        return None
    return precision_recall(found[PRECISION], found[RECALL], report.made.losses)


def heading(report: ComparisonReport, metric: str) -> str:
    """A metric with its unit."""
    (shown,) = shown_metrics([metric], report.definitions)
    return shown.heading


def named(names: Iterable[str]) -> dict[str, str]:
    """File name -> name: other letters become a dash, and what would be there twice gets a number."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = UNSAFE.sub("-", name.rpartition("/")[2]).strip("-").lower() or "unnamed"
        free = (file for file in chain([plain], (f"{plain}-{n}" for n in count(2))) if file not in found)
        found[next(free)] = name
    return found
