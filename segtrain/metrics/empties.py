"""What a metric is worth where a mask is empty: one table, no exception elsewhere.

Both masks empty: nothing was there and nothing was found. No metric is defined; the case is counted as a true
negative in the presence table of a report and takes no part in a mean (a value of 1 would reward predicting
nothing). Exactly one mask empty: the structure was missed or invented, and the metric has its worst value, so that
the case cannot vanish from a mean. `None` stands where the ratio itself has no denominator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from segtrain.core.scores import Score, Status


@dataclass(frozen=True)
class WhenEmpty:
    """The value where exactly one mask is empty; None: not defined."""

    prediction: float | None
    reference: float | None


WHEN_EMPTY: Mapping[str, WhenEmpty] = MappingProxyType(
    {
        "dice": WhenEmpty(prediction=0.0, reference=0.0),
        "iou": WhenEmpty(prediction=0.0, reference=0.0),
        "sensitivity": WhenEmpty(prediction=0.0, reference=None),
        "precision": WhenEmpty(prediction=None, reference=0.0),
        "relative_volume_error": WhenEmpty(prediction=-1.0, reference=None),
        "volume_similarity": WhenEmpty(prediction=0.0, reference=0.0),
    }
)


def status_of(*, prediction: float, reference: float) -> Status:
    """Which of the two masks is empty, from their voxels or volumes."""
    if prediction and reference:
        return "ok"
    if not prediction and not reference:
        return "both_empty"
    return "ref_empty" if prediction else "pred_empty"


def empty_score(status: Status, when: WhenEmpty) -> Score:
    """The score of a label that at least one mask lacks."""
    values = {"both_empty": None, "pred_empty": when.prediction, "ref_empty": when.reference}
    return Score(values[status], status)
