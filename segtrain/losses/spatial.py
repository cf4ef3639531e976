"""Losses for which it matters where a voxel lies: a cost for each sample and class, then the mean."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.maps import SIGNED_DISTANCE
from segtrain.losses.options import Positive
from segtrain.losses.voxels import Voxels

Spacing = Annotated[
    tuple[Positive, ...] | None,
    "Sides of a voxel in mm; null: what the call says, which is 1 for each where it says nothing.",
]


def spacing_of(voxels: Voxels, spacing_mm: tuple[float, ...] | None) -> tuple[float, ...]:
    """An option, or what the call said."""
    if spacing_mm is None:
        return voxels.spacing_mm
    if len(spacing_mm) != len(voxels.space):
        raise ValueError(f"spacing_mm has {len(spacing_mm)} numbers for {len(voxels.space)} axes")
    return spacing_mm


def voxel_sum(values: Tensor, voxels: Voxels) -> Tensor:
    """(B, C, N) -> (B, C), each voxel times its weight."""
    return values.sum(-1) if voxels.weight is None else (values * voxels.weight.unsqueeze(1)).sum(-1)


def voxel_mean(values: Tensor, voxels: Voxels) -> Tensor:
    """(B, C, N) -> (B, C): mean of the voxels that count."""
    return ratio(voxel_sum(values, voxels), voxels.count)


class SpatialLoss(Loss):
    """A loss with a cost for each sample and scored class."""

    family = "boundary"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        include_background: Annotated[bool, "Score class 0 of exclusive classes too."] = False,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.include_background = include_background

    def first(self, voxels: Voxels) -> int:
        """Class from which on they are scored."""
        return voxels.first(self.include_background)

    def answer_and_truth(self, voxels: Voxels) -> tuple[Tensor, Tensor]:
        """p and g (B, C, N) of the scored classes."""
        return voxels.answer_and_truth(self.first(voxels))

    def class_mean(self, costs: Tensor, voxels: Voxels) -> Tensor:
        """Mean of (B, C) over samples in which a voxel counts and over classes, with their weights."""
        weights = self.weights_of(voxels)
        weights = None if weights is None else weights[self.first(voxels) :]
        return weighted_mean(costs, voxels.sample_weights(weights))


class DistanceLoss(SpatialLoss):
    """A loss that reads the distance to the border of the truth."""

    needs = (SIGNED_DISTANCE,)

    def __init__(self, mode: ModeChoice = "auto", /, *, spacing_mm: Spacing = None, **shared: Any) -> None:
        super().__init__(mode, **shared)
        self.spacing_mm = spacing_mm

    def spacing(self, voxels: Voxels) -> tuple[float, ...]:
        """Sides of a voxel."""
        return spacing_of(voxels, self.spacing_mm)
