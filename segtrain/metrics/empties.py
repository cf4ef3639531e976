"""What a metric is worth where a mask is empty: one table, no exception elsewhere.

Both masks empty: nothing was there and nothing was found. No metric is defined; the case is counted as a true
negative in the presence table of a report and takes no part in a mean (a value of 1 would reward predicting
nothing). Exactly one mask empty: the structure was missed or invented, and the metric has its worst value, so that
the case cannot vanish from a mean. A distance is infinite there; in means and tests the diagonal of the image stands in
for it. `None` stands where the ratio itself has no denominator.

That is the policy `strict`. Challenges (BraTS, KiTS) give the best value where both masks are empty; their tables can
be rebuilt with the policy `challenge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Literal

from segtrain.core.scores import Score, Status

EmptyPolicy = Literal["strict", "challenge"]


@dataclass(frozen=True)
class WhenEmpty:
    """The value where exactly one mask is empty; None: not defined."""

    prediction: float | None
    reference: float | None


WORST_SHARE = WhenEmpty(prediction=0.0, reference=0.0)
WORST_DISTANCE = WhenEmpty(prediction=inf, reference=inf)
OF_THE_REFERENCE = WhenEmpty(prediction=0.0, reference=None)
OF_THE_PREDICTION = WhenEmpty(prediction=None, reference=0.0)

WHEN_EMPTY: Mapping[str, WhenEmpty] = MappingProxyType(
    {
        "dice": WORST_SHARE,
        "iou": WORST_SHARE,
        "sensitivity": OF_THE_REFERENCE,
        "precision": OF_THE_PREDICTION,
        "specificity": WhenEmpty(prediction=1.0, reference=None),
        "relative_volume_error": WhenEmpty(prediction=-1.0, reference=None),
        "volume_similarity": WORST_SHARE,
        "hd": WORST_DISTANCE,
        "hd95": WORST_DISTANCE,
        "hd95_pooled": WORST_DISTANCE,
        "assd": WORST_DISTANCE,
        "masd": WORST_DISTANCE,
        "nsd": WORST_SHARE,
        "cldice": WORST_SHARE,
        "lesion_f1": WORST_SHARE,
        "lesion_sensitivity": OF_THE_REFERENCE,
        "lesion_precision": OF_THE_PREDICTION,
        "pq": WORST_SHARE,
        "component_dice": WORST_SHARE,
    }
)


def status_of(*, prediction: float, reference: float) -> Status:
    """Which of the two masks is empty, from their voxels or volumes."""
    if prediction and reference:
        return "ok"
    if not prediction and not reference:
        return "both_empty"
    return "ref_empty" if prediction else "pred_empty"


def empty_score(status: Status, when: WhenEmpty, diagonal_mm: float) -> Score:
    """The score of a label that at least one mask lacks; `diagonal_mm` of the image stands in for an infinite one."""
    values = {"both_empty": None, "pred_empty": when.prediction, "ref_empty": when.reference}
    value = values[status]
    return Score(value, status, diagonal_mm if value == inf else None)
