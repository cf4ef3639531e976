"""A metric as a reader sees it: its heading with unit and direction, its values, and what it means.

What an evaluation wrote down of its metrics comes before what this version of segtrain says of them: the tolerance of a
surface Dice is part of its definition, and a metric that somebody brought is known from there alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from segtrain.metrics.empties import WhenEmpty
from segtrain.metrics.registry import METRICS, MetricCard, definition
from segtrain.reports.wording import interval, metric_name, number, signed

Recorded = Mapping[str, Mapping[str, Any]]
"""Metric -> what `MetricCard.to_json` wrote of it."""

DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "zero": "best at 0", "": ""}

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→ 0", "": ""}

DIGITS, DIGITS_WITH_UNIT = 3, 2
"""A share is read to a thousandth; a hundredth of a millimetre is less than any voxel."""


@dataclass(frozen=True)
class ShownMetric:
    """A metric by its key, with what is known of it; an unknown one is taken for one of which more is better."""

    key: str
    definition: str = ""
    unit: str = ""
    best: str = ""
    """`higher`, `lower`, `zero`, or nothing where it is not known."""
    version: str = ""
    range: tuple[float, float] | None = None
    when_empty: WhenEmpty | None = None
    detail: str = ""
    """What a reader must know to read its values."""

    @property
    def name(self) -> str:
        """`HD95`."""
        return metric_name(self.key)

    @property
    def heading(self) -> str:
        """`HD95 (mm)`, `NSD (within 2 mm)`."""
        beside = self.unit or self.detail
        return f"{self.name} ({beside})" if beside else self.name

    @property
    def direction(self) -> str:
        """Which values are good ones, or nothing where it is not known."""
        return DIRECTIONS.get(self.best, "")

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        return ARROWS.get(self.best, "")

    @property
    def is_share(self) -> bool:
        """Whether all its values lie in 0..1."""
        return self.range == (0.0, 1.0)

    @property
    def more_is_worse(self) -> bool:
        """Whether its bad values are the high ones, as those of a distance are."""
        return self.best == "lower"

    @property
    def facts(self) -> str:
        """The small print of its definition."""
        ends = () if self.range is None else tuple(map(_plain, self.range))
        facts = [self.direction, f"from {ends[0]} to {ends[1]}" if ends else "", *_when_empty(self.when_empty)]
        return " · ".join(fact for fact in (*facts, f"version {self.version}" if self.version else "") if fact)

    def badness(self, value: float) -> float:
        """The larger, the worse."""
        return abs(value) if self.best == "zero" else value if self.more_is_worse else -value

    def text(self, value: float | None) -> str:
        """A value with the digits of its metric, and with its sign where that means something."""
        return signed(value, self._digits) if self.best == "zero" else number(value, self._digits)

    def spread_text(self, value: float | None) -> str:
        """A standard deviation, which has no sign."""
        return number(value, self._digits)

    def interval(self, low: float | None, high: float | None) -> str:
        """`0.840 to 0.902`, or nothing where there is no interval."""
        if low is None or high is None or self.best != "zero":
            return interval(low, high, self._digits)
        return f"{self.text(low)} to {self.text(high)}"

    @property
    def _digits(self) -> int:
        return DIGITS_WITH_UNIT if self.unit else DIGITS


def shown_metrics(keys: Iterable[str], recorded: Recorded | None = None) -> list[ShownMetric]:
    """What is known of each metric, by the record of its evaluation and by the registry."""
    known = {*METRICS.names(), *METRICS.aliases()}
    return [_shown(key, (recorded or {}).get(key, {}), definition(key) if key in known else None) for key in keys]


def _shown(key: str, written: Mapping[str, Any], card: MetricCard | None) -> ShownMetric:
    def said(name: str) -> str:
        return str(written.get(name, getattr(card, name, "")))

    version = str(written.get("version", ""))
    return ShownMetric(
        key,
        said("definition"),
        said("unit"),
        said("best"),
        version,
        card.range if card else None,
        card.when_empty if card else None,
        said("detail"),
    )


def _when_empty(when: WhenEmpty | None) -> list[str]:
    if when is None:
        return []
    if when.prediction == when.reference:
        return [f"missed or invented: {_worth(when.prediction)}"]
    return [f"missed: {_worth(when.prediction)}", f"invented: {_worth(when.reference)}"]


def _worth(value: float | None) -> str:
    return "not defined" if value is None else _plain(value)


def _plain(value: float) -> str:
    """With as few digits as it has, and a real minus."""
    return f"{value:g}".replace("-", "−") if isfinite(value) else number(value)
