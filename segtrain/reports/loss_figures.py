"""Losses against each other: means, paired differences, curves, sizes of structures, precision against recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segtrain.core.words import count
from segtrain.reports.breakdown import SIZES, Breakdown, Part, PartMean
from segtrain.reports.canvas import BAND, INK, MUTED, series_colour, styled
from segtrain.reports.curves import LOSS, Row, curve
from segtrain.reports.figures import WIDTH, ends_of, epoch_axes, named_rows, short, spread
from segtrain.reports.plots import Look, Plot, look_of
from segtrain.reports.strips import dots
from segtrain.reports.wording import metric_name, number, signed
from segtrain.statistics.comparison import Comparison, RankingRow

CURVES_HEIGHT, SQUARE = 3.1, 4.4
"""Inches."""

SIZE_LOOKS = {"small": Look(series_colour(1)), "middle": Look(series_colour(0)), "large": Look(INK)}
"""The small ones stand out, since they are what a mean over all hides."""


@styled
def loss_means(comparison: Comparison, name: str, unit: str) -> Plot:
    """The mean of each loss with its interval, in the order of the ranking; the baseline is marked."""
    rows = [row for row in comparison.ranking if row.mean is not None]
    marks = {comparison.baseline: f"{short(comparison.baseline)} (baseline)"}
    figure, axes = named_rows([row.loss for row in rows], title=f"Mean {name} with 95 % interval", names=marks)
    off = off_the_scale(comparison)
    for place, row in enumerate(rows):
        if row.loss in off:
            _told(axes, place, f"failed: {number(row.mean)}")
            continue
        colour = series_colour(0) if row.loss != comparison.baseline else INK
        if row.low is not None and row.high is not None:
            axes.hlines(place, row.low, row.high, color=colour, linewidth=2.2)
        axes.plot(row.mean, place, "o", color=colour, markersize=6.5)
    axes.set_xlabel(f"mean {name}")
    return Plot(figure, f"Mean {name} of {len(rows)} losses with 95 % intervals over {unit}s")


@styled
def loss_differences(comparison: Comparison, name: str, unit: str) -> Plot:
    """Patients' differences from the baseline as dots, their mean with its interval, and the margin as a band."""
    rows = [row for row in comparison.against_baseline if row.difference is not None]
    title = f"{name}: difference from {short(comparison.baseline)}"
    figure, axes = named_rows([row.a for row in rows], title=title)
    margin = comparison.rules.margin
    if margin is not None:
        axes.axvspan(-margin, margin, color=BAND, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    off = off_the_scale(comparison)
    points = [
        (x, y)
        for place, row in enumerate(rows)
        if row.a not in off
        for x, y in zip(row.differences, place + spread(len(row.differences)), strict=True)
    ]
    dots(axes, points, series_colour(0))
    axes.set_xlim(*_limits([0.0, *(x for x, _ in points)], margin))
    for place, row in enumerate(rows):
        if row.a in off:
            _told(axes, place, f"failed: {signed(row.difference)}")
            continue
        if row.low is not None and row.high is not None:
            axes.hlines(place, row.low, row.high, color=INK, linewidth=2.2, zorder=4)
        axes.plot(row.difference, place, "D", color=INK, markersize=5, zorder=5)
    band = "" if margin is None else f"; band: practically equal, ±{margin:g}"
    axes.set_xlabel(f"difference in {name}, one dot a {unit}{band}")
    return Plot(figure, f"Paired differences in {name} of {len(rows)} losses from {comparison.baseline}")


@styled
def loss_curves(runs: Mapping[str, Sequence[Row]], column: str, baseline: str) -> Plot | None:
    """One column of the losses by epoch in one pair of axes, the baseline thick; None where no loss has it.

    A loss has its colour by its place in `runs`, the same in every plot of curves.
    """
    looks = {name: look_of(place) for place, name in enumerate(runs)}
    found = {name: (looks[name], points) for name, rows in runs.items() if (points := curve(rows, column))}
    if not found:
        return None
    title = metric_name(column) if column == LOSS else f"Validation: {metric_name(column)}"
    figure, axes = epoch_axes(title, [x for _, points in found.values() for x, _ in points])
    figure.set_size_inches(WIDTH, CURVES_HEIGHT)
    for name, (look, points) in found.items():
        x, y = zip(*points, strict=True)
        width = 2.6 if name == baseline else 1.4
        axes.plot(x, y, marker="o" if len(x) == 1 else None, markersize=4, linewidth=width, **look.line)
    alt = ends_of(title, {name: points for name, (_, points) in found.items()})
    return Plot(figure, alt, tuple((look, name) for name, (look, _) in found.items()))


@styled
def size_means(found: Breakdown, label: str, losses: Sequence[str], name: str) -> Plot | None:
    """The mean of each loss in the small, middle and large third of a label; None where it has no thirds."""
    parts = {part.size: (part, means) for part, means in found.items() if part.label == label and part.size in SIZES}
    shown = [loss for loss in losses if any(means[loss].mean is not None for _, means in parts.values())]
    if not parts or not shown:
        return None
    figure, axes = named_rows(shown, title=f"{short(label)}: mean {name} by size")
    for offset, size in zip((-0.22, 0.0, 0.22), SIZES, strict=True):
        colour = SIZE_LOOKS[size].colour
        for place, loss in enumerate(shown):
            _mean_with_ends(axes, parts[size][1][loss], place + offset, colour)
    axes.set_xlabel(f"mean {name} with 95 % interval, in thirds by reference volume")
    key = tuple((SIZE_LOOKS[size], _third(parts[size][0])) for size in SIZES)
    return Plot(figure, f"Mean {name} of {len(shown)} losses in small, middle and large cases of {label}", key)


@styled
def precision_recall(precision: Comparison, recall: Comparison, order: Sequence[str]) -> Plot | None:
    """A point a loss with its intervals: mean sensitivity across, mean precision upwards; None without a loss.

    A loss has its colour by its place in `order`. One that failed would be all that the axes show, and is left out.
    """
    off = off_the_scale(recall)
    pairs = [(loss, _row_of(recall, loss), _row_of(precision, loss)) for loss in order if loss not in off]
    whole = [(order.index(loss), x, y) for loss, x, y in pairs if x.mean is not None and y.mean is not None]
    if not whole:
        return None
    figure, axes = epoch_axes("Precision against recall", [])
    figure.set_size_inches(SQUARE, SQUARE)
    for place, x, y in whole:
        look = look_of(place)
        if x.low is not None and x.high is not None:
            axes.hlines(y.mean, x.low, x.high, linewidth=1.0, alpha=0.6, color=look.colour)
        if y.low is not None and y.high is not None:
            axes.vlines(x.mean, y.low, y.high, linewidth=1.0, alpha=0.6, color=look.colour)
        filled = {"markerfacecolor": look.colour if look.dashes is None else "none", "markeredgecolor": look.colour}
        axes.plot(x.mean, y.mean, "o" if x.loss != recall.baseline else "D", markersize=7, zorder=4, **filled)
    axes.set_xlabel("mean sensitivity (recall): what was there and found")
    axes.set_ylabel("mean precision: what was drawn and right")
    axes.grid(axis="x", visible=True)
    alt = ", ".join(f"{x.loss} {x.mean:.3f} and {y.mean:.3f}" for _, x, y in whole)
    return Plot(figure, f"Sensitivity and precision: {alt}", tuple((look_of(place), x.loss) for place, x, _ in whole))


def off_the_scale(comparison: Comparison) -> set[str]:
    """Losses that failed: beside them, all that the others differ by would shrink to a point. None where all failed."""
    failed = {row.loss for row in comparison.ranking if row.status == "failed"}
    return set() if failed >= {row.loss for row in comparison.ranking} else failed


def _told(axes: Any, place: int, text: str) -> None:
    """Words in the row of a loss that has no mark."""
    axes.text(0.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=MUTED)


def _limits(values: Sequence[float], margin: float | None) -> tuple[float, float]:
    """Ends that show all differences, and the whole margin where it is not much more than they are."""
    far = max(map(abs, values))
    band = margin or 0.0
    seen = [*values, -band, band] if band < 2 * far or not far else values
    if not any(seen):
        return -1.0, 1.0
    room = 0.04 * (max(seen) - min(seen))
    return min(seen) - room, max(seen) + room


def _mean_with_ends(axes: Any, found: PartMean, height: float, colour: str) -> None:
    if found.low is not None and found.high is not None:
        axes.hlines(height, found.low, found.high, color=colour, linewidth=1.6)
    if found.mean is not None:
        axes.plot(found.mean, height, "o", color=colour, markersize=4.5)


def _third(part: Part) -> str:
    return f"{part.size}: {part.span}, {count(len(part.cases), 'case')}"


def _row_of(comparison: Comparison, loss: str) -> RankingRow:
    return next(row for row in comparison.ranking if row.loss == loss)
