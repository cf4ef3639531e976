"""Losses on the signed distance phi to the border of the truth: negative inside, positive outside.

The map has no gradient, so that each is a weighted mean of probabilities. A class that is absent has no border: phi is
0, and it costs nothing unless a loss says so. A class without an outside ends at the edge of the patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from segtrain.losses.arithmetic import ratio
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.combine import Compound
from segtrain.losses.maps import signed_distances
from segtrain.losses.region import Dice
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import DistanceLoss, voxel_mean, voxel_sum
from segtrain.losses.voxels import Voxels


def without_border(phi: Tensor, spacing_mm: tuple[float, ...]) -> Tensor:
    """phi where inner distances count from the first voxel inside, which gets 0: Kervadec's convention."""
    return torch.where(phi < 0, (phi + min(spacing_mm)).clamp_max(0), phi)


@register_loss("boundary")
class Boundary(DistanceLoss):
    """Mean distance to the border of what is predicted, less inside: how far the answer's border lies from the truth's.

    Voxels at the border have no gradient, and neither has a patch without the class.
    """

    formula = "mean phi p, phi < 0 inside, and 0 at the inner border"
    paper = "Kervadec 2019, MIDL, arXiv 1812.07032; 2021, Medical Image Analysis 67:101851"
    good_for = "borders of small objects beside a region loss, gaining weight as training goes (Kervadec 2019)"
    bad_at = "use alone, which ends at the empty mask; patches without the class, which have no gradient"
    optimum = None
    caution = "alone it ends at the empty mask where objects are small; add a region loss, as dice_boundary does"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        shift_border: Annotated[
            bool, "Inner distances are shorter by the smallest side of a voxel: 0 at the inner border."
        ] = True,
        normalize: Annotated[
            Literal["none", "max"], "Distances in mm (none), or as shares of the largest of sample and class (max)."
        ] = "none",
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.shift_border = shift_border
        self.normalize: Literal["none", "max"] = normalize

    def measure(self, voxels: Voxels) -> Tensor:
        """Kervadec 2019, Eq. 5."""
        p, _ = self.answer_and_truth(voxels)
        return self.class_mean(voxel_mean(p * self._distances(voxels), voxels), voxels)

    def _distances(self, voxels: Voxels) -> Tensor:
        spacing = self.spacing(voxels)
        phi = signed_distances(voxels, self.first(voxels), spacing)
        phi = without_border(phi, spacing) if self.shift_border else phi
        return ratio(phi, phi.abs().amax(-1, keepdim=True)) if self.normalize == "max" else phi


@register_loss("generalized_surface")
class GeneralizedSurface(DistanceLoss):
    """Share of the squared distances that the answer gets wrong: 0 for the truth, 1 for its inverse."""

    formula = "1 - sum (phi (1 - (g + p)))^2 / sum phi^2, phi as in boundary"
    paper = "Celaya 2023, arXiv 2302.03868"
    good_for = "far errors beside dice_ce, with a schedule from one to the other (Celaya 2023)"
    bad_at = "voxels at the inner border and patches without the class, which have no weight"

    def measure(self, voxels: Voxels) -> Tensor:
        """Celaya 2023, written as sum phi^2 (1 - (1 - g - p)^2), which keeps its digits near 0."""
        p, g = self.answer_and_truth(voxels)
        spacing = self.spacing(voxels)
        weights = without_border(signed_distances(voxels, self.first(voxels), spacing), spacing).square()
        both = p + g
        costs = ratio(voxel_sum(weights * both * (2 - both), voxels), voxel_sum(weights, voxels))
        return self.class_mean(costs, voxels)


@register_loss("region_wise")
class RegionWise(DistanceLoss):
    """Probability outside the object less that inside it, by depth; an absent class costs its mean probability."""

    formula = "mean p z, z = 1 outside, -d / max d inside"
    paper = "Valverde & Tohka 2023, Pattern Recognition, arXiv 2108.01405"
    good_for = "depth as a weight without a schedule: its map lies in -1 to 1 whatever the class"
    bad_at = "borders, as deep voxels weigh more; its best value is negative and differs by case"
    optimum = None

    def measure(self, voxels: Voxels) -> Tensor:
        """Valverde & Tohka 2023, the rectified map."""
        p, _ = self.answer_and_truth(voxels)
        phi = signed_distances(voxels, self.first(voxels), self.spacing(voxels))
        deepest = phi.amin(-1, keepdim=True).neg()
        z = torch.where(phi < 0, ratio(phi, deepest), torch.ones_like(phi))
        return self.class_mean(voxel_mean(p * z, voxels), voxels)


@register_loss("dice_boundary")
class DiceBoundary(Compound):
    """Dice with a little of the boundary loss; the papers shift the weights from the one to the other as training goes.

    The weights are those of the first epoch; fixed ones that worked are 0.01 and 0.99 (Ma 2021).
    """

    formula = "dice_weight dice + boundary_weight boundary"
    paper = "Kervadec 2019, MIDL, arXiv 1812.07032; Ma 2021, Medical Image Analysis 71:102035"
    good_for = "borders and far errors beside overlap: mean rank 4.5 of 20 at 0.01 and 0.99 (Ma 2021)"
    bad_at = "weights left untuned: much boundary empties small objects, and values may turn negative"
    optimum = None
    parts: ClassVar[Mapping[str, type[Loss]]] = {"dice": Dice, "boundary": Boundary}
    part_weights: ClassVar[Mapping[str, float]] = {"dice": 0.99, "boundary": 0.01}
