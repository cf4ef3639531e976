"""Metrics of the distance between two surfaces, each a reading of `Pair.surfaces`.

Libraries disagree about every one of these names (Podobnik and Vrtovec, arXiv 2410.02630). Here HD and HD95 are the
larger of two directed values, as in Metrics Reloaded, MONAI and DeepMind's surface-distance, and every surface element
weighs by its area. What MedPy calls hd95, a percentile of both directions thrown together, is `hd95_pooled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Annotated

import numpy as np
from pydantic import Field

from segtrain.core.errors import ConfigError, Problem
from segtrain.metrics.empties import WHEN_EMPTY
from segtrain.metrics.pair import Pair
from segtrain.metrics.registry import METRICS, Best, MetricCard
from segtrain.metrics.surface import voxel_borders_mm

Tolerance = Annotated[float, Field(gt=0, allow_inf_nan=False)]

PERCENT = 95.0

AREA = "Surface elements weigh by their area; the edge of the image is a surface."


def _card(name: str, definition: str, *, unit: str = "mm", best: Best = "lower") -> MetricCard:
    bounds = (0.0, inf) if unit else (0.0, 1.0)
    return MetricCard(name, definition, unit, bounds, best, WHEN_EMPTY[name], cost="surfaces")


@METRICS.register("hd", "hausdorff")
class Hausdorff:
    """The largest distance."""

    card = _card("hd", "Hausdorff distance: the farthest that any point of one surface lies from the other surface.")

    def measure(self, pair: Pair) -> float:
        """In mm; the larger of both directions."""
        return max(float(side.distances_mm[-1]) for side in pair.surfaces.both)


@METRICS.register("hd95")
class Hausdorff95:
    """The larger of two directed 95th percentiles."""

    card = _card(
        "hd95",
        "Distance within which 95 % of a surface lies from the other one; of the two directions, the larger. " + AREA,
    )

    def measure(self, pair: Pair) -> float:
        """In mm."""
        return max(side.percentile_mm(PERCENT) for side in pair.surfaces.both)


@METRICS.register("hd95_pooled")
class Hausdorff95Pooled:
    """MedPy's hd95."""

    card = _card(
        "hd95_pooled",
        "95th percentile of the distances of both directions in one list, between centres of border voxels that all "
        "weigh alike: what MedPy calls hd95, for comparison with tables made with it.",
    )

    def measure(self, pair: Pair) -> float:
        """In mm; at most `hd`, and usually less than `hd95`."""
        return float(np.percentile(voxel_borders_mm(*pair.masks, pair.spacing_mm), PERCENT))


@METRICS.register("assd")
class AverageSymmetric:
    """The mean over both surfaces."""

    card = _card("assd", "Mean distance of all points of both surfaces to the other surface. " + AREA)

    def measure(self, pair: Pair) -> float:
        """In mm."""
        both = pair.surfaces.both
        return sum(float(s.distances_mm @ s.areas_mm2) for s in both) / sum(float(s.areas_mm2.sum()) for s in both)


@METRICS.register("masd")
class MeanAverage:
    """The mean of two directed means."""

    card = _card(
        "masd",
        "Mean of the two directed mean distances, so that both surfaces count alike however large they are. " + AREA,
    )

    def measure(self, pair: Pair) -> float:
        """In mm."""
        return sum(side.mean_mm for side in pair.surfaces.both) / 2


@METRICS.register("nsd", "surface_dice")
class NormalizedSurfaceDice:
    """Share of both surfaces within a tolerance of the other one (Nikolov et al. 2021)."""

    card = _card(
        "nsd",
        "Share of the area of both surfaces that lies within a tolerance of the other surface. " + AREA,
        unit="",
        best="higher",
    )

    def __init__(self, *, tolerance_mm: Tolerance | Mapping[str, Tolerance]) -> None:
        self._tolerances = tolerance_mm
        card, said = type(self).card, self._said()
        self.card = replace(card, definition=f"{card.definition} Tolerance: {said}.", detail=f"within {said}")

    def measure(self, pair: Pair) -> float:
        """Between 0 and 1."""
        both, tolerance_mm = pair.surfaces.both, self._tolerance_of(pair.label)
        return sum(s.area_within_mm2(tolerance_mm) for s in both) / sum(float(s.areas_mm2.sum()) for s in both)

    def _tolerance_of(self, label: str) -> float:
        if not isinstance(self._tolerances, Mapping):
            return self._tolerances
        if label not in self._tolerances:
            why = f"there are tolerances for {', '.join(self._tolerances)}"
            hint = "give each label its own, or one number for all"
            raise ConfigError(Problem(f"nsd has no tolerance for label {label}", "nsd_tolerance_mm", why, hint))
        return self._tolerances[label]

    def _said(self) -> str:
        if not isinstance(self._tolerances, Mapping):
            return f"{self._tolerances:g} mm"
        return ", ".join(f"{label} {value:g} mm" for label, value in self._tolerances.items())
