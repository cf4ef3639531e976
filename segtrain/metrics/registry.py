"""Metrics by name, and the contract that each keeps.

A metric is a class whose instances have a `card` (what it means) and a `measure` (its number). `measure` is called
only where both masks hold the label: the other cases are decided by the table in `empties.py`. It reads a `Pair`, on
which anything costly is computed once per label and shared by all metrics that read it. Keyword-only parameters of
the class are its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from segtrain.core.registry import Registry
from segtrain.metrics.empties import WhenEmpty
from segtrain.metrics.pair import Pair

METRICS = Registry("metric", builtin="segtrain.metrics.builtin")

Best = Literal["higher", "lower", "zero"]
"""Which values are good ones; `higher`: up to 1; `zero`: those near 0 on either side."""

IDEAL: Mapping[Best, float] = {"higher": 1.0, "lower": 0.0, "zero": 0.0}
"""What a perfect mask has."""

Cost = Literal["counts", "surfaces", "components", "skeletons"]
"""What a metric looks at, the cheapest first: it is computed once for all metrics that look at it."""


@dataclass(frozen=True)
class MetricCard:
    """What a reader must know before comparing a metric with somebody else's."""

    name: str
    definition: str
    """One sentence or two; TP, FP and FN are voxels, P and R the voxels of prediction and reference."""
    unit: str
    """As printed; empty for a pure number."""
    range: tuple[float, float]
    best: Best
    when_empty: WhenEmpty
    cost: Cost = "counts"
    detail: str = ""
    """What the heading of a column must say beside the name: the tolerance of nsd."""
    version: int = 1
    """Goes up when the same masks may give another number."""

    def sized(self, value: float | None) -> float | None:
        """What goes into a mean that decides: of a signed metric the size, or +90 % and -90 % would be no error."""
        return abs(value) if value is not None and self.best == "zero" else value

    def badness(self, value: float) -> float:
        """The larger, the worse."""
        return {"higher": -value, "lower": value, "zero": abs(value)}[self.best]

    def to_json(self) -> dict[str, Any]:
        """What a file of scores says of the metric: its definition, unit, direction and version."""
        found = asdict(self)
        return {key: found[key] for key in ("definition", "unit", "detail", "best", "version")}


class Metric(Protocol):
    """What the registry's classes make."""

    card: MetricCard

    def measure(self, pair: Pair) -> float | None:
        """The value for a label that both masks hold; None where there is none even so.

        Unchanged when both are padded alike, but for what depends on the field of view, and flipped alike, but for
        what goes by skeletons.
        """
        ...


def definition(name: str) -> MetricCard:
    """The card of a metric. Raises ConfigError with the nearest names."""
    metric: Any = METRICS.find(name)
    card: MetricCard = metric.card
    return card


def definitions(metrics: Mapping[str, Metric]) -> dict[str, dict[str, Any]]:
    """What files say of metrics that were built with their options."""
    return {name: metric.card.to_json() for name, metric in metrics.items()}
