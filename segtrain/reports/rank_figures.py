"""Who comes first, and how firmly: the critical-difference diagram, and the places of losses when patients change.

The diagram is Demsar's (JMLR 7:1, 2006); his units are data sets, ours the patients of one data set, and it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from segtrain.reports.canvas import INK, MUTED, series_colour, styled
from segtrain.reports.figures import WIDTH, named_rows, short
from segtrain.reports.plots import Plot
from segtrain.statistics.comparison import Comparison
from segtrain.statistics.friedman import Friedman
from segtrain.statistics.verdict import FEWEST_PATIENTS

ROW, ABOVE, GROUP = 0.24, 0.95, 0.16
"""Inches: of a name, above the axis for the title and the critical difference, and of a bar below it."""

NARROWEST = 0.055
"""Share below which a part of a bar is too narrow for its number."""


@styled
def critical_difference(comparison: Comparison, name: str, unit: str) -> Plot | None:
    """Mean ranks on an axis, 1 at the left; bars join losses that are not told apart.

    None under three losses or six patients, where nothing may be concluded.
    """
    found = comparison.friedman
    if found is None or found.n < FEWEST_PATIENTS:
        return None
    names, losses = comparison.compared, len(comparison.compared)
    order = sorted(range(losses), key=lambda i: found.mean_ranks[i])
    left = order[: (losses + 1) // 2]
    depth = GROUP * (len(found.groups) + 1)
    height = ABOVE + depth + ROW * len(left) + 0.2
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    axes.set_title(f"{name}: critical differences of ranks; units are {found.n} {unit}s", x=0.022, y=1 - 0.3 / height)
    x = _scale(losses)
    _axis(axes, losses, x)
    _yardstick(axes, found, x)
    for level, group in enumerate(found.groups, start=1):
        ends = [x(found.mean_ranks[group[i]]) for i in (0, -1)]
        axes.hlines(ABOVE + GROUP * level, ends[0] - 0.04, ends[1] + 0.04, color=series_colour(0), linewidth=4)
    for row, i in enumerate(left):
        _name(axes, f"{short(names[i])}  {found.mean_ranks[i]:.2f}", x(found.mean_ranks[i]), depth + ROW * row, "left")
    for row, i in enumerate(reversed(order[len(left) :])):
        _name(axes, f"{found.mean_ranks[i]:.2f}  {short(names[i])}", x(found.mean_ranks[i]), depth + ROW * row, "right")
    ranks = ", ".join(f"{names[i]} {found.mean_ranks[i]:.2f}" for i in order)
    return Plot(figure, f"Mean ranks by {name} over {found.n} {unit}s: {ranks}; critical difference {_apart(found)}")


@styled
def place_shares(comparison: Comparison, name: str, unit: str) -> Plot | None:
    """How often each loss has each place when patients are drawn anew; None where there is nothing to draw."""
    rows = [row.loss for row in comparison.ranking if comparison.places.get(row.loss)]
    if not rows:
        return None
    figure, axes = named_rows(rows, title=f"{name}: places when {unit}s are drawn anew")
    for row, loss in enumerate(rows):
        _stack(axes, row, comparison.places[loss])
    axes.set_xlim(0, 1)
    axes.grid(visible=False)
    axes.set_xlabel("share of bootstrap draws; the number is the place, 1 the best")
    first = ", ".join(f"{loss} {comparison.places[loss][0]:.0%}" for loss in rows)
    return Plot(figure, f"Share of draws in which each loss comes first by {name}: {first}")


def _stack(axes: Any, row: int, shares: Sequence[float]) -> None:
    """One bar of all places, the first the darkest."""
    starts = np.cumsum([0.0, *shares])
    for place, share in enumerate(shares):
        if not share:
            continue
        alpha = 0.75 - 0.67 * place / max(1, len(shares) - 1)
        axes.barh(row, share, left=starts[place], height=0.72, color=series_colour(0), alpha=alpha, linewidth=0)
        if share >= NARROWEST:
            middle = starts[place] + share / 2
            axes.text(middle, row, str(place + 1), ha="center", va="center", color=INK, fontsize=8)


def _scale(losses: int) -> Any:
    """Rank -> inches from the left."""
    start, end = 1.9, WIDTH - 1.9
    return lambda rank: start + (end - start) * (rank - 1) / max(1, losses - 1)


def _axis(axes: Any, losses: int, x: Any) -> None:
    axes.hlines(ABOVE, x(1), x(losses), color=INK, linewidth=1)
    for rank in range(1, losses + 1):
        axes.vlines(x(rank), ABOVE - 0.06, ABOVE, color=INK, linewidth=1)
        axes.text(x(rank), ABOVE - 0.09, str(rank), ha="center", va="bottom", color=MUTED, fontsize=8)


def _yardstick(axes: Any, found: Friedman, x: Any) -> None:
    """The critical difference as a length: from six patients on it is shorter than the axis."""
    end, high = x(1 + found.critical_difference), ABOVE - 0.34
    axes.hlines(high, x(1), end, color=MUTED, linewidth=1.4)
    axes.vlines([x(1), end], high - 0.04, high + 0.04, color=MUTED, linewidth=1.4)
    said = f"critical difference {_apart(found)}"
    axes.text(end + 0.08, high, said, ha="left", va="center", color=MUTED, fontsize=8)


def _name(axes: Any, text: str, at: float, below: float, side: str) -> None:
    """A name beside the axis, and the line that leads to its rank."""
    y = ABOVE + below + 0.1
    edge = 1.8 if side == "left" else WIDTH - 1.8
    axes.plot([at, at, edge], [ABOVE, y, y], color=MUTED, linewidth=0.8)
    where = edge - 0.06 if side == "left" else edge + 0.06
    axes.text(where, y, text, ha="right" if side == "left" else "left", va="center", color=INK, fontsize=8.5)


def _apart(found: Friedman) -> str:
    return f"{found.critical_difference:.2f}"
