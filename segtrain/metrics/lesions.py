"""Metrics of how many lesions were found, each a reading of the matched components of two masks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from segtrain.metrics.components import Matches, component_dice, matched
from segtrain.metrics.empties import WHEN_EMPTY
from segtrain.metrics.pair import Pair
from segtrain.metrics.registry import METRICS, MetricCard

Volume = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]

PQ_IOU = 0.5
"""Kirillov et al. (CVPR 2019): above it, a match is unique."""


def _card(name: str, definition: str) -> MetricCard:
    return MetricCard(name, definition, "", (0.0, 1.0), "higher", WHEN_EMPTY[name], cost="components")


class _Matching:
    """How lesions are told apart and matched; what the metrics below hold."""

    def __init__(self, least_iou: float, least_mm3: float) -> None:
        self._least_iou, self._least_mm3 = least_iou, least_mm3

    def of(self, pair: Pair) -> Matches:
        voxels = self._least_mm3 / math.prod(pair.spacing_mm)
        return matched(pair.components, least_iou=self._least_iou, least_voxels=voxels)

    def explained(self, card: MetricCard) -> MetricCard:
        """The card with this rule in its definition."""
        small = f", those below {self._least_mm3:g} mm3 left out" if self._least_mm3 else ""
        rule = f"26-connected components{small}, matched one to one where their IoU is above {self._least_iou:g}."
        return replace(card, definition=f"{card.definition} Lesions: {rule}")


@METRICS.register("lesion_f1")
class LesionF1:
    """2 TP / (2 TP + FP + FN) over lesions."""

    card = _card("lesion_f1", "Lesions found, over the mean number of lesions in both masks: 2 TP / (2 TP + FP + FN).")

    def __init__(self, *, match_iou: Share, min_volume_mm3: Volume) -> None:
        self._lesions = _Matching(match_iou, min_volume_mm3)
        self.card = self._lesions.explained(type(self).card)

    def measure(self, pair: Pair) -> float | None:
        """Between 0 and 1; None where every lesion is too small to count."""
        matches = self._lesions.of(pair)
        return _share(2 * matches.found, 2 * matches.found + matches.missed + matches.invented)


@METRICS.register("lesion_sensitivity", "lesion_recall")
class LesionSensitivity:
    """TP / (TP + FN) over lesions."""

    card = _card("lesion_sensitivity", "Share of the reference's lesions that were found: TP / (TP + FN).")

    def __init__(self, *, match_iou: Share, min_volume_mm3: Volume) -> None:
        self._lesions = _Matching(match_iou, min_volume_mm3)
        self.card = self._lesions.explained(type(self).card)

    def measure(self, pair: Pair) -> float | None:
        """Between 0 and 1; None where every lesion of the reference is too small to count."""
        matches = self._lesions.of(pair)
        return _share(matches.found, matches.found + matches.missed)


@METRICS.register("lesion_precision")
class LesionPrecision:
    """TP / (TP + FP) over lesions."""

    card = _card("lesion_precision", "Share of the prediction's lesions that are ones: TP / (TP + FP).")

    def __init__(self, *, match_iou: Share, min_volume_mm3: Volume) -> None:
        self._lesions = _Matching(match_iou, min_volume_mm3)
        self.card = self._lesions.explained(type(self).card)

    def measure(self, pair: Pair) -> float | None:
        """Between 0 and 1; None where every lesion of the prediction is too small to count."""
        matches = self._lesions.of(pair)
        return _share(matches.found, matches.found + matches.invented)


@METRICS.register("pq", "panoptic_quality")
class PanopticQuality:
    """Sum of the IoU of matches / (TP + FP / 2 + FN / 2) (Kirillov et al., CVPR 2019)."""

    card = _card("pq", "Sum of the IoU of the lesions found over the mean number of lesions in both masks.")

    def __init__(self, *, min_volume_mm3: Volume) -> None:
        self._lesions = _Matching(PQ_IOU, min_volume_mm3)
        self.card = self._lesions.explained(type(self).card)

    def measure(self, pair: Pair) -> float | None:
        """Between 0 and 1; None where every lesion is too small to count."""
        matches = self._lesions.of(pair)
        return _share(sum(matches.ious), matches.found + (matches.missed + matches.invented) / 2)


@METRICS.register("component_dice", "cc_dice")
class ComponentDice:
    """Mean over the reference's components of Dice in their surroundings (Jaus et al. 2024)."""

    card = _card(
        "component_dice",
        "Dice in the surroundings of each 26-connected component of the reference, which are all voxels nearest to it; "
        "their mean, so that each lesion counts alike however large it is.",
    )

    def measure(self, pair: Pair) -> float:
        """Between 0 and 1; 0 where the reference has no component."""
        if pair.components.reference.count == 0:
            return 0.0
        prediction, _ = pair.masks
        return float(component_dice(prediction, pair.components, pair.spacing_mm).mean())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
