"""Centre-line Dice that knows how thick tubes are, so that thin ones count no less than thick ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtrain.core.distance import distance_mm
from segtrain.losses.arithmetic import ratio
from segtrain.losses.base import ModeChoice
from segtrain.losses.options import Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import Spacing, spacing_of
from segtrain.losses.topology import Iterations, TubeLoss, centre_lines, harmonic_cost, pooled_sums
from segtrain.losses.voxels import Voxels

RADIUS_FLOOR = 1e-7
"""Keeps the inverse of a radius finite (the authors' value)."""


@dataclass(frozen=True, eq=False)
class Thickness:
    """Of masks (B, C, N), as shares of the largest radius on their centre line; without gradient."""

    depth: Tensor
    """Distance to the border, at most the largest radius; 0 outside the mask."""
    radius: Tensor
    """The depth on the centre line, 0 elsewhere."""
    weight: Tensor
    """1 / radius in a plane, 1 / radius^2 in space: every stretch of a tube counts alike. 0 off the centre line."""


@register_loss("cbdice")
class CentreLineBoundaryDice(TubeLoss):
    """Centre-line Dice weighted by radius: centre lines count by the inverse of it, masks by depth below the border.

    Masks, centre lines and radii are those of probabilities above 0.5, without gradient; radii of the answer are
    measured on the CPU in every step. Two precautions go beyond the authors' code: a centre line lies in its mask, and
    where the other mask is deeper, a voxel of it is found but counts no more than once. So no answer costs less than 0.
    """

    formula = (
        "1 - 2 Tp Ts / (Tp + Ts), Tp = (H + s) / (H + M + s) with H = sum w_p sk(p) D_g and M = sum of "
        "w_p sk(p) relu(R_p p - D_g) off the truth's centre line, Ts alike; D depth, R radius, w = 1 / R^(axes - 1)"
    )
    paper = "Shi 2024, MICCAI, arXiv 2407.01517"
    good_for = "vessels of very different width: thin ones count as much as thick ones (Shi 2024)"
    bad_at = "speed, with epochs several times longer; compact objects"
    caution = (
        "it needs a region loss beside it, in a weighted_sum, and measures distances of the answer on the CPU in every "
        "step, which makes epochs several times longer"
    )

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        iterations: Annotated[Iterations, "Erosions on the way to the centre line: the largest radius in voxels."] = 10,
        smooth: Annotated[Weight, "Added to numerators and denominators."] = 1.0,
        spacing_mm: Spacing = None,
        **shared: Any,
    ) -> None:
        super().__init__(mode, smooth=smooth, **shared)
        self.iterations, self.spacing_mm = iterations, spacing_mm

    def measure(self, voxels: Voxels) -> Tensor:
        """Shi 2024, by the authors' code."""
        p, g = voxels.answer_and_truth(self.first(voxels))
        line_p, line_g = (centre_lines(values, self.iterations, voxels) for values in (p, g))
        of_p, of_g = self._thickness(p, line_p, voxels), self._thickness(g, line_g, voxels)
        precision = self._error(of_p.weight * line_p, of_p.radius * p, of_g.depth * g, of_g.radius, voxels)
        recall = self._error(of_g.weight * line_g, of_g.radius * g, of_p.depth * p, of_p.radius, voxels)
        return self.class_mean(harmonic_cost(precision, recall), self.sizes(voxels), voxels)

    def _error(self, line: Tensor, radius: Tensor, found: Tensor, other_radius: Tensor, voxels: Voxels) -> Tensor:
        """Share of a weighted centre line that does not lie in the other mask, whose depth there is `found`."""
        missed = line * (radius - found).relu() * (other_radius == 0)
        hits, misses = pooled_sums((line * found, missed), self, voxels)
        return ratio(misses, hits + misses + self.smooth)

    @torch.no_grad()
    def _thickness(self, values: Tensor, line: Tensor, voxels: Voxels) -> Thickness:
        mask = values > 0.5
        on_line = (line > 0.5) & mask
        if voxels.valid is not None:
            mask, on_line = (part & voxels.valid.unsqueeze(1) for part in (mask, on_line))
        spacing = spacing_of(voxels, self.spacing_mm)
        depth = _depths(voxels.in_space(mask), spacing).flatten(2).to(values)
        largest = (depth * on_line).amax(-1, keepdim=True).clamp_min(min(spacing))
        depth = depth.minimum(largest) / largest
        radius = depth * on_line
        power = max(sum(size > 1 for size in voxels.space) - 1, 0)
        return Thickness(depth, radius, (1 + RADIUS_FLOOR) / (radius**power + RADIUS_FLOOR) * on_line)


def _depths(masks: Tensor, spacing_mm: tuple[float, ...]) -> Tensor:
    """Distance to the border inside masks (B, C, *S), on the CPU; the smallest side where nothing is outside."""
    arrays: NDArray[np.bool_] = masks.cpu().flatten(0, 1).numpy()
    found = np.stack([distance_mm(mask, spacing_mm) for mask in arrays])
    found[np.isinf(found)] = min(spacing_mm)
    return torch.from_numpy(found).view(masks.shape)
