"""A score is a value *and* whether it is defined: an absent structure must never vanish in a mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isinf
from statistics import fmean
from typing import Literal

Status = Literal["ok", "both_empty", "pred_empty", "ref_empty", "not_drawn", "no_prediction"]
"""ok: both masks hold the label. not_drawn: the reference does not tell (task.partial). no_prediction: there is no mask
that could be scored, which counts as the worst. The others say which of prediction and reference is empty."""


@dataclass(frozen=True)
class Score:
    """`value` is None where the metric is not defined; `status` says why.

    A distance to a structure that was missed or invented is infinite: `stand_in`, the diagonal of the image in mm,
    takes its place in means and tests, so that the case counts there as the worst that it can be.
    """

    value: float | None
    status: Status
    stand_in: float | None = None

    @property
    def counted(self) -> float | None:
        """What takes part in means and tests: finite, or None."""
        return self.stand_in if self.value is not None and isinf(self.value) else self.value


@dataclass(frozen=True, eq=False)
class CaseScores:
    """All scores of one case: label name -> metric name -> score, and the volumes behind them."""

    case: str
    patient: str
    scores: Mapping[str, Mapping[str, Score]]
    reference_ml: Mapping[str, float]
    prediction_ml: Mapping[str, float]

    def mean(self, metric: str) -> float | None:
        """Mean over the labels where `metric` is known and defined, or None where it is nowhere."""
        return mean_of_defined(found[metric].counted for found in self.scores.values() if metric in found)


def mean_of_defined(values: Iterable[float | None]) -> float | None:
    """The mean of those that are not None, or None where there is none."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
