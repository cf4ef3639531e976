"""Losses on the contour of objects, found voxel by voxel from neighbours: no distances are needed.

An axis of one voxel has no neighbours.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from segtrain.losses.arithmetic import ratio
from segtrain.losses.base import ModeChoice
from segtrain.losses.maps import members
from segtrain.losses.options import SMOOTH, Positive, Share, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import Spacing, SpatialLoss, spacing_of, voxel_mean, voxel_sum
from segtrain.losses.voxels import Voxels

Floor = Annotated[float, Field(ge=-1, le=1)]

AUTO_TOLERANCE = 1.25
"""Times the largest side of a voxel (MIST): no finer than the grid can tell."""


@register_loss("boundary_dou")
class BoundaryDoU(SpatialLoss):
    """The part of answer and truth that they do not share, over their union less a part of what they share.

    The part is larger where an object is large for its border, so that the cost stays about the border.
    """

    formula = "(U - 2 I) / (U - (1 + a) I + s), U = sum p^2 + sum g^2, I = sum p g, a = 1 - 2 border / size, <= cap"
    paper = "Sun 2023, MICCAI, arXiv 2308.00220"
    good_for = "borders by one ratio, without distances (abdominal and cardiac scans in its paper)"
    bad_at = "objects that are nearly all border: a turns negative and their errors cost less"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        cap: Annotated[Share, "Largest a."] = 0.8,
        floor: Annotated[Floor | None, "Smallest a, such as 0; null: that of the formula, down to -1."] = None,
        smooth: Annotated[Weight, "Added to numerator and denominator of the score, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.cap, self.floor, self.smooth = cap, floor, smooth

    def measure(self, voxels: Voxels) -> Tensor:
        """Sun 2023, Eq. 3, with sum (p - g)^2 for U - 2 I."""
        p, g = self.answer_and_truth(voxels)
        errors, hits = voxel_sum((p - g).square(), voxels), voxel_sum(p * g, voxels)
        costs = ratio(errors, errors + (1 - self._part(voxels).to(p.dtype)) * hits + self.smooth)
        return self.class_mean(costs, voxels)

    def _part(self, voxels: Voxels) -> Tensor:
        """a (B, C)."""
        inside = members(voxels, self.first(voxels))
        size = inside.sum(-1).clamp_min(1)
        border = border_voxels(voxels.in_space(inside), _valid_in_space(voxels)).flatten(2).sum(-1)
        return (1 - 2 * border / size).clamp(self.floor, self.cap)


@register_loss("active_contour")
class ActiveContour(SpatialLoss):
    """Length of the answer's contour plus the probability on the wrong side: smooth outlines, and never 0."""

    formula = "mean sqrt(|grad p|^2 + 1e-8) + region_weight (mean p (1 - g) + mean (1 - p) g)"
    paper = "Chen 2019, CVPR"
    good_for = "smooth outlines of compact objects (hearts in its paper)"
    bad_at = "thin and branching structures, whose long contours cost; values, which never reach 0"
    optimum = None

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        region_weight: Annotated[Weight, "Of the wrong side against the length (the paper's lambda)."] = 1.0,
        spacing_mm: Spacing = None,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.region_weight, self.spacing_mm = region_weight, spacing_mm

    def measure(self, voxels: Voxels) -> Tensor:
        """Chen 2019, Eq. 7, with the means of the two regions fixed at 1 and 0."""
        p, g = self.answer_and_truth(voxels)
        length = voxel_mean(self._steps(voxels.in_space(p), voxels).flatten(2), voxels)
        wrong = voxel_mean(p * (1 - g) + (1 - p) * g, voxels)
        return self.class_mean(length + self.region_weight * wrong, voxels)

    def _steps(self, p: Tensor, voxels: Voxels) -> Tensor:
        """(B, C, *S) length of the gradient, forward differences for the shortest side of a voxel."""
        spacing, valid = spacing_of(voxels, self.spacing_mm), _valid_in_space(voxels)
        squares = torch.full_like(p, 1e-8)
        for axis, side in enumerate(spacing, start=2):
            step = p.diff(dim=axis) * (min(spacing) / side)
            if valid is not None:
                step = step * (valid.narrow(axis, 1, p.shape[axis] - 1) & valid.narrow(axis, 0, p.shape[axis] - 1))
            squares = squares + F.pad(step.square(), [0, 0] * (p.ndim - 1 - axis) + [0, 1])
        return squares.sqrt()


@register_loss("surface_dice_dilation")
class SurfaceDiceDilation(SpatialLoss):
    """Dice of the borders of answer and truth, both widened by the tolerance: close to the surface Dice (NSD)."""

    formula = "(sum P + sum G - 2 sum P G) / (sum P + sum G + s), P = dilate(p - erode p), G = dilate(g - erode g)"
    paper = "the MIST package (its SDDL)"
    good_for = "surface Dice (NSD) at a tolerance as the goal"
    bad_at = "use alone: a mask and its inverse have the same border, so the inside is left open"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        tolerance_mm: Annotated[
            Positive | None, "How far borders may lie apart; null: 1.25 times the largest side of a voxel."
        ] = None,
        smooth: Annotated[Weight, "Added to numerator and denominator of the score, in voxels."] = SMOOTH,
        spacing_mm: Spacing = None,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.tolerance_mm, self.smooth, self.spacing_mm = tolerance_mm, smooth, spacing_mm

    def measure(self, voxels: Voxels) -> Tensor:
        """1 - 2 sum P G / (sum P + sum G)."""
        wide_p, wide_g = (self._widened(values, voxels) for values in self.answer_and_truth(voxels))
        errors = voxel_sum(wide_p * (1 - wide_g) + wide_g * (1 - wide_p), voxels)
        return self.class_mean(ratio(errors, errors + 2 * voxel_sum(wide_p * wide_g, voxels) + self.smooth), voxels)

    def _widened(self, values: Tensor, voxels: Voxels) -> Tensor:
        spacing = spacing_of(voxels, self.spacing_mm)
        tolerance = self.tolerance_mm or AUTO_TOLERANCE * max(spacing)
        border = soft_border(voxels.in_space(values), _valid_in_space(voxels))
        return dilated(border, tuple(math.ceil(tolerance / side) for side in spacing)).flatten(2)


def border_voxels(inside: Tensor, valid: Tensor | None) -> Tensor:
    """Voxels of masks (B, C, *S) with a face neighbour that is outside: another voxel that counts, or off the array."""
    outside = ~inside if valid is None else ~inside & valid
    near = torch.zeros_like(inside)
    for axis in range(2, inside.ndim):
        size = inside.shape[axis]
        if size == 1:
            continue
        near.narrow(axis, 1, size - 1).logical_or_(outside.narrow(axis, 0, size - 1))
        near.narrow(axis, 0, size - 1).logical_or_(outside.narrow(axis, 1, size - 1))
        near.narrow(axis, 0, 1).fill_(True)
        near.narrow(axis, size - 1, 1).fill_(True)
    return near & inside


def soft_border(values: Tensor, valid: Tensor | None) -> Tensor:
    """What soft masks (B, C, *S) lose when they are eroded by a voxel; neither the edge nor an ignored voxel erodes."""
    solid = values if valid is None else values.masked_fill(~valid, 1)
    lost = solid + dilated(-solid, (1,) * (values.ndim - 2))
    return lost if valid is None else lost.masked_fill(~valid, 0)


def dilated(values: Tensor, radii: tuple[int, ...]) -> Tensor:
    """Largest value (B, C, *S) in a box of so many voxels to either side, axis by axis."""
    pool = F.max_pool2d if len(radii) == 2 else F.max_pool3d
    for axis, radius in enumerate(radii):
        reach = [0] * len(radii)
        reach[axis] = min(radius, values.shape[2 + axis] - 1)
        if reach[axis] > 0:
            values = pool(values, [2 * r + 1 for r in reach], stride=1, padding=reach)
    return values


def _valid_in_space(voxels: Voxels) -> Tensor | None:
    """(B, 1, *S)."""
    return None if voxels.valid is None else voxels.in_space(voxels.valid.unsqueeze(1))
