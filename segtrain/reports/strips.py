"""How a metric is distributed over cases: a row a label, a dot a case, and apart from them what was missed.

A miss has the worst value that its metric knows: 0, or infinity. Drawn to scale it would push all other cases
together, so misses have a zone of their own at the bad edge. Quartiles and median are still of all cases, misses being
the worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from segtrain.core.scores import CaseScores, Score
from segtrain.reports.canvas import BAND, INK, MUTED, VARIABLES, Drawing, series_colour, styled, svg
from segtrain.reports.figures import named_rows, spread
from segtrain.reports.shown_metric import ShownMetric
from segtrain.reports.wording import WORST_STATUSES

MISSES = "missed or invented"

ZONE = 0.07
"""Width of the zone of misses, as a share of the axis beside it."""

MISS_COLOUR = series_colour(6)
"""The red one."""


@dataclass(frozen=True)
class _Row:
    """The values of one label: measured where both masks hold it, and all of them with misses at `edge`."""

    measured: tuple[float, ...]
    misses: int
    missed_value: float
    """What a miss counts as in quartiles: beyond every measured value."""


@styled
def label_strips(scores: Sequence[CaseScores], metric: ShownMetric, labels: Sequence[str]) -> Drawing:
    """One row for each of `labels`: a dot a case, quartiles as a bar, the median as a tick, misses at the bad edge."""
    name, worst = metric.name, inf if metric.more_is_worse else -inf
    rows = [_row(scores, label, metric, worst) for label in labels]
    figure, axes = named_rows(labels, title="")
    low, high = _limits([value for row in rows for value in row.measured], metric)
    axes.set_xlim(low, high)
    if metric.best == "zero":
        axes.axvline(0, color=MUTED, linewidth=0.9)
    has_misses = any(row.misses for row in rows)
    edge = _zone(axes, low, high, worst) if has_misses else (high if worst > 0 else low)
    _bars(axes, rows, edge)
    dots(axes, [(x, y) for place, row in enumerate(rows) for x, y in _places(row.measured, place)], series_colour(0))
    misses = [(x, y) for place, row in enumerate(rows) for x, y in _places([edge] * row.misses, place)]
    dots(axes, misses, MISS_COLOUR)
    axes.set_xlabel(f"{metric.heading} of a case")
    key = ((f"var({VARIABLES[MISS_COLOUR]})", MISSES),) if has_misses else ()
    return svg(figure, f"{name} of every case, one row for each of {len(labels)} labels", key)


def _row(scores: Sequence[CaseScores], label: str, metric: ShownMetric, worst: float) -> _Row:
    found = [case.scores.get(label, {}).get(metric.key) for case in scores]
    defined = [score for score in found if score is not None and score.value is not None]
    measured = tuple(s.value for s in defined if s.value is not None and not _is_miss(s))
    return _Row(measured, len(defined) - len(measured), worst)


def _is_miss(score: Score) -> bool:
    return score.status in WORST_STATUSES or not isfinite(score.value or 0.0)


def _limits(values: Sequence[float], metric: ShownMetric) -> tuple[float, float]:
    """What the axis spans: a share up to 1, a distance from 0, an error around 0, with some room."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.05
    if metric.best == "zero":
        far = 1.08 * max(abs(low), abs(high), 0.05)
        return -far, far
    if metric.is_share:
        return max(-0.02, low - max(room, 0.03)), 1.01
    if low >= 0:
        return -0.02 * max(high, 0.05), high + room
    return low - room, max(high, 0.0) + room


def _zone(axes: Any, low: float, high: float, worst: float) -> float:
    """Mark the zone beyond the bad edge; returns the middle of it."""
    width = ZONE * (high - low)
    start, end = (high, high + width) if worst > 0 else (low - width, low)
    axes.axvline(high if worst > 0 else low, color=MUTED, linewidth=0.7)
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    axes.set_xlim(min(low, start), max(high, end))
    axes.set_xticks(ticks)
    return (start + end) / 2


def _bars(axes: Any, rows: Sequence[_Row], edge: float) -> None:
    """Quartiles and median of every row."""
    spans = [(place, *_quartiles(row, edge)) for place, row in enumerate(rows) if row.measured or row.misses]
    if not spans:
        return
    places, low, middle, high = np.array(spans).T
    axes.hlines(places, low, high, color=BAND, linewidth=15)
    axes.vlines(middle, places - 0.3, places + 0.3, color=INK, linewidth=1.8, zorder=4)


def _quartiles(row: _Row, edge: float) -> tuple[float, float, float]:
    """Between a measured value and infinity lies infinity: a quartile among the misses is drawn in their zone."""
    far = np.nan_to_num([*row.measured, *[row.missed_value] * row.misses], posinf=1e300, neginf=-1e300)
    ends = [edge, *row.measured] if row.misses else row.measured
    low, middle, high = np.clip(np.quantile(far, [0.25, 0.5, 0.75]), min(ends), max(ends))
    return float(low), float(middle), float(high)


def _places(values: Sequence[float], place: int) -> list[tuple[float, float]]:
    return list(zip(values, place + spread(len(values)), strict=True))


def dots(axes: Any, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Dots as one path of points with round ends, a tenth of the markup that as many markers take."""
    if not points:
        return
    path = Path(np.repeat(points, 2, axis=0), [Path.MOVETO, Path.LINETO] * len(points))
    path.should_simplify = False  # it would take a line of no length away
    dots = PathPatch(path, fill=False, edgecolor=colour, linewidth=3.6, alpha=0.6, capstyle="round", zorder=3)
    axes.add_artist(dots)
