"""How far a run has come, as one picture that can be looked at while it trains (nnU-Net has one of this name).

It is drawn again and again beside the training, so it is drawn with little: raw Agg, fixed margins instead of a layout
that is solved, and at most as many points a curve as there are pixels to tell them apart.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segtrain.reports.curves import (
    LOSS,
    RATE,
    SECONDS,
    VALIDATION_SECONDS,
    Curve,
    Row,
    curve,
    label_columns,
    metrics_in,
)
from segtrain.reports.on_white import INK, MUTED, SERIES, STYLE
from segtrain.reports.wording import metric_name

SIZE, DOTS_PER_INCH = (9.6, 5.4), 100
"""960 x 540 pixels: a preview, a page of a notebook, a message."""

NAMED_LABELS = 8
"""More labels than colours are drawn as thin lines around their mean, without names."""

MEAN = "mean of labels"

MOST_POINTS = 600

Curves = Mapping[str, Curve]


def progress_png(rows: Sequence[Row], title: str) -> bytes:
    """Training loss, the first metric by label, learning rate and seconds by epoch, as a PNG."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH, facecolor="white")
        figure.suptitle(title, x=0.012, ha="left", fontsize=10, color=INK)
        figure.subplots_adjust(left=0.06, right=0.99, bottom=0.085, top=0.87, wspace=0.14, hspace=0.3)
        last = max((float(row.get("epoch") or 0) for row in rows), default=0)
        for place, (name, curves) in enumerate(panels(rows).items(), start=1):
            axes = figure.add_subplot(2, 2, place, xlim=(0, max(2.0, last)), xlabel="epoch" if place > 2 else None)
            _draw(axes, name, curves)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None}, pil_kwargs={"compress_level": 3})
    return buffer.getvalue()


def panels(rows: Sequence[Row]) -> dict[str, Curves]:
    """Title -> name -> curve; a curve without a number is left out. The mean is that of the labels, where several."""
    first = next(iter(metrics_in(rows)), None)
    labels = label_columns(rows).get(first, {}) if first else {}
    scores = {**labels, **({} if first is None or len(labels) == 1 else {MEAN: first})}
    wanted = {
        "Training loss": {"loss": LOSS},
        f"Validation: {metric_name(first)}" if first else "Validation": scores,
        "Learning rate": {"rate": RATE},
        "Seconds per epoch": {"training": SECONDS, "validation": VALIDATION_SECONDS},
    }
    return {
        title: {name: found for name, column in columns.items() if (found := curve(rows, column))}
        for title, columns in wanted.items()
    }


def _draw(axes: Any, title: str, curves: Curves) -> None:
    axes.set_title(title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.tick_params(length=0, labelsize=8)
    if not curves:
        axes.text(0.5, 0.5, "nothing yet", color=MUTED, ha="center", va="center", transform=axes.transAxes)
        return
    anonymous = len(curves) > NAMED_LABELS + 1
    colours = cycle(SERIES)
    for name, line in curves.items():
        x, y = points(line)
        look: dict[str, Any] = {
            "marker": "o" if len(x) == 1 else None,
            "markersize": 4,
            "label": name.lstrip("_") or name,
        }
        if name == MEAN:
            look["label"] = f"mean of {len(curves) - 1} labels" if len(curves) > 1 else name
            axes.plot(x, y, color=INK, linewidth=1.8, **look)
        elif anonymous:
            axes.plot(x, y, color=MUTED, linewidth=0.4, alpha=0.6, **{**look, "label": None})
        else:
            axes.plot(x, y, color=next(colours), linewidth=1.3, **look)
    if title.startswith("Seconds"):
        axes.set_ylim(bottom=0)
    if len(curves) > 1 or title.startswith("Validation"):
        # Scores rise and seconds stay; the place that is best for the data would be searched for each time.
        place = "lower right" if title.startswith("Validation") else "center right"
        axes.legend(frameon=False, fontsize=8, ncols=2 if len(curves) > 4 and not anonymous else 1, loc=place)


def points(line: Curve) -> tuple[list[float], list[float]]:
    """Abscissae and ordinates; a long curve is thinned evenly, back from its last point."""
    step = -(-len(line) // MOST_POINTS)
    kept = line[::-1][::step][::-1]
    return [x for x, _ in kept], [y for _, y in kept]
