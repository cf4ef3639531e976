"""A score is a value *and* whether it is defined: an absent structure must never vanish in a mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "both_empty", "pred_empty", "ref_empty"]
"""ok: both masks hold the label. The others say which of prediction and reference is empty."""


@dataclass(frozen=True)
class Score:
    """`value` is None where the metric is not defined; `status` says why."""

    value: float | None
    status: Status


@dataclass(frozen=True, eq=False)
class CaseScores:
    """All scores of one case: label name -> metric name -> score, and the volumes behind them."""

    case: str
    patient: str
    scores: Mapping[str, Mapping[str, Score]]
    reference_ml: Mapping[str, float]
    prediction_ml: Mapping[str, float]

    def mean(self, metric: str) -> float | None:
        """Mean over the labels where `metric` is defined, or None where it is nowhere."""
        values = [s[metric].value for s in self.scores.values()]
        defined = [v for v in values if v is not None]
        return sum(defined) / len(defined) if defined else None
