"""The line drawings of a report: training curves, and losses against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segtrain.reports.canvas import INK, SERIES, Drawing, series_colour, series_key, styled, svg
from segtrain.reports.curves import LOSS, NORM, RATE, Curve, Row, curve, label_columns, metrics_in
from segtrain.reports.wording import metric_name

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


@styled
def _curves(title: str, curves: Mapping[str, Curve]) -> Drawing:
    figure, axes = epoch_axes(title, [x for points in curves.values() for x, _ in points])
    for place, points in enumerate(curves.values()):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, color=series_colour(place), marker="o" if len(x) == 1 else None, markersize=4)
    key = series_key(list(curves)) if len(curves) > 1 or title == "Validation" else ()
    return svg(figure, ends_of(title, curves), key)


def epoch_axes(title: str, epochs: Sequence[float]) -> tuple[Figure, Any]:
    """Axes for curves by epoch, of which there is at least one."""
    figure = Figure(figsize=PANEL, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title[:1].upper() + title[1:])
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="x", visible=False)
    axes.margins(x=0.02)
    if len(set(epochs)) == 1:  # one epoch leaves no room between whole numbers
        axes.set_xlim(min(epochs) - 1, max(epochs) + 1)
    return figure, axes


def ends_of(title: str, curves: Mapping[str, Curve]) -> str:
    """Curves as a screen reader says them."""
    ends = ", ".join(f"{name} {points[-1][1]:.4g} at the end" for name, points in curves.items())
    return f"{title} by epoch: {ends}"


def named_rows(labels: Sequence[str], *, title: str, names: Mapping[str, str] | None = None) -> tuple[Figure, Any]:
    """Axes with one named row each, the first on top.

    Margins are reckoned from the letters: to solve a layout takes longer than to draw it where rows are many.
    """
    shown = [(names or {}).get(label, short(label)) for label in labels]
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


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
