"""Metrics by name, and the contract that each keeps.

A metric is a class whose instances have a `card` (what it means) and a `measure` (its number). `measure` is
called only where both masks hold the label: the other cases are decided by the table in `empties.py`. It reads a
`Pair`, on which anything costly is computed once per label and shared by all metrics that read it. Keyword-only
parameters of the class are its options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from segtrain.core.registry import Registry
from segtrain.metrics.counts import Counts
from segtrain.metrics.empties import WhenEmpty

METRICS = Registry("metric", builtin="segtrain.metrics.builtin")

Best = Literal["higher", "lower", "zero"]
"""Which values are good ones; `zero`: those near 0 on either side."""


@dataclass(frozen=True)
class MetricCard:
    """What a reader must know before comparing a metric with somebody else's."""

    name: str
    definition: str
    """One sentence; TP, FP and FN are voxels, P and R the voxels of prediction and reference."""
    unit: str
    """As printed; empty for a pure number."""
    range: tuple[float, float]
    best: Best
    when_empty: WhenEmpty

    def badness(self, value: float) -> float:
        """The larger, the worse."""
        return {"higher": -value, "lower": value, "zero": abs(value)}[self.best]


@dataclass(frozen=True, eq=False)
class Pair:
    """Prediction and reference of one label, as metrics read them. Costly views become cached properties here."""

    counts: Counts
    spacing_mm: tuple[float, ...]


class Metric(Protocol):
    """What the registry's classes make."""

    card: MetricCard

    def measure(self, pair: Pair) -> float:
        """The value for a label that both masks hold. Unchanged when both are padded or flipped alike."""
        ...


def definition(name: str) -> MetricCard:
    """The card of a metric. Raises ConfigError with the nearest names."""
    metric: Any = METRICS.find(name)
    card: MetricCard = metric.card
    return card
