"""Cross-entropy that weighs voxels by where they lie: near a border, on a contour, between two objects.

The weight of a voxel depends on the truth alone; the mean is over voxels, not over weights, so that it is
cross-entropy where no border is.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, final

import numpy as np
import torch
from torch import Tensor

from segtrain.core.distance import two_nearest_mm
from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.components import component_ids, first_with_objects
from segtrain.losses.contour import soft_border
from segtrain.losses.maps import SIGNED_DISTANCE, members, signed_distances
from segtrain.losses.options import Positive, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import Spacing, spacing_of
from segtrain.losses.voxels import Voxels

REACH = 6.0
"""In sigmas: beyond, a border's weight is below 2e-8 of its height."""

TWO_NEAREST = "to_two_objects_mm"
"""(B, 1, *S): sum of the distances to the two nearest objects of any foreground class; inf where it is far."""


class BorderEntropy(Loss):
    """Cross-entropy times a map."""

    family = "boundary"

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean over the voxels that count."""
        cost = voxels.cross_entropy * self.weight_of_voxels(voxels)
        return weighted_mean(cost, voxels.weights(self.weights_of(voxels)))

    @abstractmethod
    def weight_of_voxels(self, voxels: Voxels) -> Tensor:
        """Of the shape of the cross-entropy: (B, N) for exclusive classes, else (B, C, N)."""


@register_loss("distance_ce")
class DistanceCrossEntropy(BorderEntropy):
    """Cross-entropy that costs up to twice as much near the border of the voxel's own region."""

    formula = "mean (1 + phi) (-log p_y), phi = (max d - d) / max d, d to the border, max d of the voxel's region"
    paper = "Caliva 2019, MIDL, arXiv 1908.03679"
    good_for = "borders of large structures, whose voxels cost up to twice as much"
    bad_at = "small objects, as ce; published results, as a well-known code of it is plain ce"
    needs = (SIGNED_DISTANCE,)

    def __init__(self, mode: ModeChoice = "auto", /, *, spacing_mm: Spacing = None, **shared: Any) -> None:
        super().__init__(mode, **shared)
        self.spacing_mm = spacing_mm

    def weight_of_voxels(self, voxels: Voxels) -> Tensor:
        """Caliva 2019."""
        phi = signed_distances(voxels, 0, spacing_of(voxels, self.spacing_mm))
        depth, inside = phi.abs(), phi < 0
        deepest = torch.where(inside, -phi.amin(-1, keepdim=True), phi.amax(-1, keepdim=True))
        weights = 1 + ratio(deepest - depth, deepest)
        return weights.gather(1, voxels.truth.unsqueeze(1)).squeeze(1) if voxels.mode == "multiclass" else weights


@register_loss("contour_weighted_ce")
class ContourWeightedCrossEntropy(BorderEntropy):
    """Cross-entropy that costs more on the outermost voxels of objects; the paper adds a Dice split in the same way."""

    formula = "mean (1 + contour_weight on contours of the foreground) (-log p_y)"
    paper = "Huang 2024, arXiv 2407.06176"
    good_for = "outlines of organs: their outermost voxels weigh 1 + contour_weight"
    bad_at = "borders drawn by an unsure hand, on which it insists most"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        contour_weight: Annotated[Weight, "Added to the weight 1 of a voxel on a contour."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.contour_weight = contour_weight

    def weight_of_voxels(self, voxels: Voxels) -> Tensor:
        """What a mask loses in an erosion is its contour."""
        exclusive = voxels.mode == "multiclass"
        masks = members(voxels, 1 if exclusive else 0).to(voxels.dtype)
        valid = None if voxels.valid is None else voxels.in_space(voxels.valid.unsqueeze(1))
        contour = soft_border(voxels.in_space(masks), valid).flatten(2)
        return 1 + self.contour_weight * (contour.amax(1) if exclusive else contour)


@register_loss("unet_border_ce")
class UNetBorderCrossEntropy(BorderEntropy):
    """U-Net's cross-entropy that keeps touching objects apart: gaps between two objects weigh up to 1 + w0.

    Objects are the connected components of each foreground class; w_c is `class_weights`.
    """

    formula = "mean (1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2))) (-log p_y), d1, d2: to the two nearest objects"
    paper = "Ronneberger 2015, MICCAI, arXiv 1505.04597"
    good_for = "objects that touch and must stay apart, such as cells (its paper)"
    bad_at = "lone objects, where it is ce; speed with many objects, whose distances are measured on the CPU"
    modes = ("multiclass", "binary")
    needs = (TWO_NEAREST,)

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        w0: Annotated[Weight, "Added to the weight 1 where two objects touch."] = 10.0,
        sigma: Annotated[Positive, "How wide a gap counts, in mm (in voxels, where no spacing is given)."] = 5.0,
        spacing_mm: Spacing = None,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.w0, self.sigma, self.spacing_mm = w0, sigma, spacing_mm

    @property
    def reach_mm(self) -> float:
        """How far an object is looked for."""
        return REACH * self.sigma

    def first(self, voxels: Voxels) -> int:
        """Class from which on there are objects."""
        return first_with_objects(voxels)

    def weight_of_voxels(self, voxels: Voxels) -> Tensor:
        """Ronneberger 2015, Eq. 2."""
        both = to_two_objects(voxels, spacing_of(voxels, self.spacing_mm), self.reach_mm) / self.sigma
        weights = 1 + self.w0 * torch.exp(-both.square() / 2)
        return weights if voxels.mode == "multiclass" else weights.unsqueeze(1)


@torch.no_grad()
def to_two_objects(voxels: Voxels, spacing_mm: tuple[float, ...], reach_mm: float) -> Tensor:
    """(B, N) sum of the distances to the two nearest objects; perhaps inf, where one lies beyond `reach_mm`."""
    given = voxels.maps.get(TWO_NEAREST)
    if given is not None:
        return given[:, 0].flatten(1).to(voxels.dtype)
    sums = []
    for classes in voxels.in_space(component_ids(voxels, first_with_objects(voxels))).cpu().numpy():
        objects = np.zeros(voxels.space, np.int32)
        for ids in classes:
            objects = np.where(ids > 0, ids + objects.max(), objects).astype(np.int32)
        nearest, second = two_nearest_mm(objects, spacing_mm, reach_mm)
        sums.append((nearest + second).reshape(-1))
    return torch.from_numpy(np.stack(sums)).to(voxels.raw.device, voxels.dtype)
