"""Scores label by label and by the size of what was there: a mean over all hides what a loss does to small structures.

Sizes are thirds of the reference volume within each label, so that a small liver is not compared with a large lesion;
cases whose reference lacks the label have no size and count only under `all`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segtrain.reports.wording import millilitres
from segtrain.statistics.intervals import mean_interval

Size = Literal["all", "small", "middle", "large"]

SIZES: tuple[Size, ...] = ("small", "middle", "large")

FEWEST_CASES = 6
"""With the label in the reference: fewer make no thirds of two cases each."""


@dataclass(frozen=True, eq=False)
class LabelValues:
    """What each loss reached in each label of each case, by one metric."""

    values: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    """Loss -> label -> case -> value, None where it is not defined."""
    reference_ml: Mapping[str, Mapping[str, float]]
    """Label -> case -> volume in ml."""
    patients: Mapping[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that have a value in some case."""
        return tuple(self.reference_ml)


@dataclass(frozen=True)
class Part:
    """The cases of one label and size."""

    label: str
    size: Size
    low_ml: float | None
    high_ml: float | None
    """The smallest and the largest reference volume among them; None for `all`."""
    cases: tuple[str, ...]

    @property
    def span(self) -> str:
        """`0.8 to 2.4 ml`, or nothing for all cases."""
        if self.low_ml is None or self.high_ml is None:
            return ""
        return f"{millilitres(self.low_ml)} to {millilitres(self.high_ml)} ml"


@dataclass(frozen=True)
class PartMean:
    """One loss in one part: its mean over the `n` cases that are defined, and the 95 % interval over patients."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


Breakdown = Mapping[Part, Mapping[str, PartMean]]
"""Part -> loss -> mean."""


def breakdown(found: LabelValues) -> dict[Part, dict[str, PartMean]]:
    """Every label whole, then its thirds, the small one first; a label in fewer than six cases has no thirds."""
    return {part: {loss: _mean(found, loss, part) for loss in found.values} for part in _parts(found)}


def breakdown_rows(metric: str, found: Breakdown) -> list[list[str | int | float | None]]:
    """The same as rows of `by_label.csv`, whose columns are `BREAKDOWN_COLUMNS`."""
    return [
        [metric, part.label, part.size, part.low_ml, part.high_ml, loss, mean.mean, mean.low, mean.high, mean.n]
        for part, losses in found.items()
        for loss, mean in losses.items()
    ]


BREAKDOWN_COLUMNS = ("metric", "label", "size", "smallest_ml", "largest_ml", "loss", "mean", "low", "high", "n")


def _parts(found: LabelValues) -> Iterator[Part]:
    for label, volumes in found.reference_ml.items():
        yield Part(label, "all", None, None, tuple(sorted(volumes)))
        drawn = sorted((ml, case) for case, ml in volumes.items() if ml > 0)
        if len(drawn) < FEWEST_CASES:
            continue
        for size, cases in zip(SIZES, _thirds(drawn), strict=True):
            yield Part(label, size, cases[0][0], cases[-1][0], tuple(case for _, case in cases))


def _thirds(drawn: Sequence[tuple[float, str]]) -> list[list[tuple[float, str]]]:
    """Three parts of as many cases each, as nearly as that goes."""
    return [[drawn[i] for i in part] for part in np.array_split(np.arange(len(drawn)), len(SIZES))]


def _mean(found: LabelValues, loss: str, part: Part) -> PartMean:
    of = found.values[loss].get(part.label, {})
    defined: list[tuple[str, Any]] = [(case, of[case]) for case in part.cases if of.get(case) is not None]
    interval = mean_interval([value for _, value in defined], [found.patients[case] for case, _ in defined], 0)
    return PartMean(interval.mean, interval.low, interval.high, len(defined))
