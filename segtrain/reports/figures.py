"""The line drawings of a report: training curves, and losses against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segtrain.reports.canvas import BAND, INK, MUTED, SERIES, Drawing, series_colour, series_key, styled, svg
from segtrain.reports.curves import LOSS, NORM, RATE, Curve, Row, curve, label_columns, metrics_in
from segtrain.reports.wording import metric_name
from segtrain.statistics.comparison import Comparison

PANEL = (4.3, 2.7)
"""Inches; a page shows one on a phone and two or three beside each other on a desk."""

LONGEST_NAME = 26
"""Letters of a name on an axis."""

WIDTH, BAR, LETTER = 6.2, 0.32, 0.07
"""Inches: of a horizontal plot, that one row of it takes, and that a letter of a name takes."""

TITLE_ROOM, SIDE_ROOM, BELOW = 0.36, 0.14, 0.5
"""Inches: above a plot with a title, beside a plot, and below it for ticks and the name of the axis."""


def training_curves(rows: Sequence[Row]) -> tuple[Drawing, ...]:
    """Loss, validation, the first metric by label, rate, gradient; a panel without numbers is left out."""
    metrics = metrics_in(rows)
    panels = {"Loss": {metric_name(LOSS): LOSS}, "Validation": {metric_name(name): name for name in metrics}}
    labels = label_columns(rows).get(metrics[0], {}) if metrics else {}
    if len(labels) in range(2, len(SERIES) + 1):
        panels[f"{metric_name(metrics[0])} by label"] = labels
    panels |= {"Learning rate": {metric_name(RATE): RATE}, "Norm of the gradient": {metric_name(NORM): NORM}}
    drawn = {
        title: {name: found for name, column in columns.items() if (found := curve(rows, column))}
        for title, columns in panels.items()
    }
    return tuple(_curves(title, curves) for title, curves in drawn.items() if curves)


def learning_curves(runs: Mapping[str, Sequence[Row]], column: str) -> Drawing | None:
    """One column of several runs in one pair of axes; None where no run has it."""
    curves = {name: found for name, rows in runs.items() if (found := curve(rows, column))}
    return _curves(metric_name(column), curves) if curves else None


def shared_columns(runs: Mapping[str, Sequence[Row]]) -> tuple[str, ...]:
    """The first metric and the loss: the two curves of a comparison."""
    return (*metrics_in(row for rows in runs.values() for row in rows)[:1], LOSS)


@styled
def _curves(title: str, curves: Mapping[str, Curve]) -> Drawing:
    figure = Figure(figsize=PANEL, layout="constrained")
    axes = figure.add_subplot()
    for place, points in enumerate(curves.values()):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=series_colour(place), marker="o" if len(x) == 1 else None, markersize=4)
    axes.set_title(title[:1].upper() + title[1:])
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="x", visible=False)
    axes.margins(x=0.02)
    epochs = {x for points in curves.values() for x, _ in points}
    if len(epochs) == 1:  # one epoch leaves no room between whole numbers
        axes.set_xlim(min(epochs) - 1, max(epochs) + 1)
    ends = ", ".join(f"{name} {points[-1][1]:.4g} at the end" for name, points in curves.items())
    key = series_key(list(curves)) if len(curves) > 1 or title == "Validation" else ()
    return svg(figure, f"{title} by epoch: {ends}", key)


@styled
def loss_means(comparison: Comparison, name: str) -> Drawing:
    """The mean of each loss with its interval, in the order of the ranking; the baseline is marked."""
    rows = [row for row in comparison.ranking if row.mean is not None]
    marks = {comparison.baseline: f"{_short(comparison.baseline)} (baseline)"}
    figure, axes = named_rows([row.loss for row in rows], title=f"Mean {name} with 95 % interval", names=marks)
    for place, row in enumerate(rows):
        colour = series_colour(0) if row.loss != comparison.baseline else INK
        if row.low is not None and row.high is not None:
            axes.hlines(place, row.low, row.high, color=colour, linewidth=2.2)
        axes.plot(row.mean, place, "o", color=colour, markersize=6.5)
    axes.set_xlabel(f"mean {name}")
    return svg(figure, f"Mean {name} of {len(rows)} losses with 95 % intervals over patients")


@styled
def loss_differences(comparison: Comparison, name: str) -> Drawing:
    """Patients' differences from the baseline as dots, their mean with its interval, and the margin as a band."""
    rows = [row for row in comparison.against_baseline if row.difference is not None]
    title = f"{name}: difference from {_short(comparison.baseline)}"
    figure, axes = named_rows([row.a for row in rows], title=title)
    margin = comparison.rules.margin
    axes.axvspan(-margin, margin, color=BAND, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    for place, row in enumerate(rows):
        apart = spread(len(row.differences))
        axes.plot(row.differences, place + apart, "o", color=series_colour(0), alpha=0.35, markersize=3.2, mew=0)
        if row.low is not None and row.high is not None:
            axes.hlines(place, row.low, row.high, color=INK, linewidth=2.2)
        axes.plot(row.difference, place, "D", color=INK, markersize=5)
    axes.set_xlabel(f"difference in {name}, one dot a patient; band: ±{margin:g}")
    return svg(figure, f"Paired differences in {name} of {len(rows)} losses from {comparison.baseline}")


def named_rows(labels: Sequence[str], *, title: str, names: Mapping[str, str] | None = None) -> tuple[Figure, Any]:
    """Axes with one named row each, the first on top.

    Margins are reckoned from the letters: to solve a layout takes longer than to draw it where rows are many.
    """
    shown = [(names or {}).get(label, _short(label)) for label in labels]
    rows, top = max(1, len(labels)), TITLE_ROOM if title else SIDE_ROOM
    height = BAR * rows + top + BELOW
    figure = Figure(figsize=(WIDTH, height))
    left = (SIDE_ROOM + LETTER * max(map(len, shown), default=0)) / WIDTH
    figure.subplots_adjust(left=left, right=1 - SIDE_ROOM / WIDTH, bottom=BELOW / height, top=1 - top / height)
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_yticks(range(len(labels)), shown, color=INK)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    return figure, axes


def spread(n: int) -> Any:
    """Offsets that keep dots apart, the same each time (a golden-ratio sequence)."""
    return (np.arange(n) * 0.6180339887 % 1 - 0.5) * 0.5


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
