"""What the page, the tables and the terminal say of losses that were dropped early, and the picture of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from segtrain.core.words import count
from segtrain.reports.canvas import INK, MUTED, series_colour, styled
from segtrain.reports.contents import Halving, Rung
from segtrain.reports.figures import named_rows
from segtrain.reports.plots import Plot
from segtrain.reports.shown_metric import ShownMetric
from segtrain.reports.tables import Cell
from segtrain.reports.wording import UNDEFINED, interval_signed, number, p_value, signed
from segtrain.statistics.elimination import Standing

HALVING_COLUMNS = (
    "epoch",
    "epochs",
    "loss",
    "decision",
    "metric",
    "mean",
    "behind",
    "low",
    "high",
    "p",
    "p_corrected",
    "comparisons",
    "leader",
    "patients",
    "why",
)
NOT_JUDGED = "not judged"


def halving_rows(rungs: Sequence[Rung]) -> Iterator[list[Cell]]:
    """halving.csv: a row a rung and loss that was still in, the best first."""
    for rung in rungs:
        for row in rung.found.standings:
            numbers = (row.mean, row.behind, row.low, row.high, row.p, row.p_corrected)
            beside = (rung.comparisons, rung.leader, rung.found.n_patients, rung.found.why_nobody)
            yield [rung.epoch, rung.epochs, row.loss, row.decision, rung.metric, *numbers, *beside]
        for loss, why in rung.not_judged.items():
            unknown = [None] * 6
            beside = (rung.comparisons, rung.leader, rung.found.n_patients, why)
            yield [rung.epoch, rung.epochs, loss, NOT_JUDGED, rung.metric, *unknown, *beside]


def drop_sentence(rung: Rung, row: Standing) -> str:
    """`at epoch 6 of 24: behind dice by 0.051 (+0.020 to +0.082), corrected p 0.003`."""
    behind = f"{number(row.behind)} ({interval_signed(row.low, row.high)})"
    p = f"corrected p {p_value(row.p_corrected)}"
    return f"at epoch {rung.epoch} of {rung.epochs}: behind {rung.leader} by {behind}, {p}"


def halving_view(halving: Halving, metric: ShownMetric, unit: str) -> dict[str, Any]:
    """The section of the page, as plain values."""
    return {
        "saved": f"{100 * halving.saved:.0f} %",
        "nobody": not any(rung.dropped for rung in halving.rungs),
        "rungs": [
            {
                "epoch": rung.epoch,
                "epochs": rung.epochs,
                "people": count(rung.found.n_patients, unit),
                "comparisons": count(rung.comparisons, "comparison"),
                "why": rung.found.why_nobody.replace("patient", unit),
                "rows": [_row(row, metric) for row in rung.found.standings],
                "not_judged": list(rung.not_judged.items()),
            }
            for rung in halving.rungs
        ],
        "metric": metric.heading,
    }


@styled
def trained_until(halving: Halving, losses: Sequence[str]) -> Plot | None:
    """How long each loss was trained, those that were dropped in another colour; None without a rung."""
    if not halving.rungs:
        return None
    epochs = halving.rungs[0].epochs
    ended = {loss: rung.epoch for rung in halving.rungs for loss in rung.dropped}
    order = sorted(losses, key=lambda loss: -ended.get(loss, epochs))
    figure, axes = named_rows(order, title="How long each loss was trained")
    for place, loss in enumerate(order):
        colour, width = (series_colour(1), ended[loss]) if loss in ended else (series_colour(0), epochs)
        axes.barh(place, width, height=0.5, color=colour, linewidth=0)
        if loss in ended:
            axes.text(width, place, f" dropped after {width}", va="center", ha="left", color=INK, fontsize=8)
    for rung in halving.rungs[1:]:
        axes.axvline(rung.epoch, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set_xlim(0, epochs)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("epoch; dashed: where losses could be dropped")
    said = ", ".join(f"{loss} after {epoch}" for loss, epoch in ended.items()) or "none"
    return Plot(figure, f"Losses dropped before epoch {epochs}: {said}")


def _row(row: Standing, metric: ShownMetric) -> dict[str, str]:
    return {
        "loss": row.loss,
        "mean": metric.text(row.mean),
        "behind": UNDEFINED if row.decision == "leader" else signed(row.behind),
        "interval": interval_signed(row.low, row.high),
        "p": p_value(row.p),
        "p_corrected": p_value(row.p_corrected),
        "decision": row.decision,
        "look": {"leader": "good", "dropped": "bad"}.get(row.decision, "open"),
    }
