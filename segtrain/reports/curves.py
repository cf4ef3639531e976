"""What the columns of `metrics.csv` are, and the curves in them.

A metric has a column of its name, with the mean over labels, and `METRIC/LABEL` columns beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

Row = Mapping[str, float | int | None]
"""A row of `metrics.csv`."""

Curve = list[tuple[float, float]]
"""(epoch, value) where the value is a finite number."""

LOSS, RATE, NORM = "train_loss", "learning_rate", "gradient_norm"
SECONDS, VALIDATION_SECONDS = "seconds", "validation_seconds"
PLACE = ("epoch", "step")


WATCHED = {
    LOSS: "training/loss",
    RATE: "training/learning_rate",
    NORM: "training/gradient_norm",
    SECONDS: "seconds/training",
    VALIDATION_SECONDS: "seconds/validation",
    "skipped_steps": "training/skipped_steps",
    "peak_memory_mib": "memory/peak_mib",
}
"""How those that watch a training call a column; a score is `validation/METRIC` or `validation/METRIC/LABEL`."""

NO_SCORES = (*PLACE, *WATCHED)
"""Columns that are no metric."""


def label_column(metric: str, label: str) -> str:
    """The column of one label's mean."""
    return f"{metric}/{label}"


def metrics_in(rows: Iterable[Row]) -> list[str]:
    """Columns that are the mean of a metric over labels."""
    names = _scores_in(rows)
    return [name for name in names if _metric_of(name, names) is None]


def label_columns(rows: Iterable[Row]) -> dict[str, dict[str, str]]:
    """Metric -> label -> its column; of the metrics that have such columns."""
    names = _scores_in(rows)
    found: dict[str, dict[str, str]] = {}
    for name in names:
        metric = _metric_of(name, names)
        if metric is not None:
            found.setdefault(metric, {})[name.removeprefix(label_column(metric, ""))] = name
    return found


def curve(rows: Sequence[Row], column: str) -> Curve:
    """The finite values of a column by epoch."""
    pairs = [(row.get("epoch", place), row.get(column)) for place, row in enumerate(rows, start=1)]
    return [(float(x), float(y)) for x, y in pairs if x is not None and y is not None and isfinite(y)]


def watched_values(row: Row) -> dict[str, float]:
    """Name for those that watch -> value; what is undefined or not finite in this row is left out."""
    named = {WATCHED.get(column, f"validation/{column}"): value for column, value in row.items() if column not in PLACE}
    return {name: float(value) for name, value in named.items() if value is not None and isfinite(value)}


def _scores_in(rows: Iterable[Row]) -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row if name not in NO_SCORES)


def _metric_of(column: str, columns: Iterable[str]) -> str | None:
    """The metric that a label's column belongs to; a metric and a label may have slashes of their own."""
    return next((name for name in columns if column.startswith(label_column(name, "")) and column != name), None)
