"""The exponential logarithmic loss: logarithms of Dice and of probabilities, to a power."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from segtrain.losses.arithmetic import bounded_power, ratio
from segtrain.losses.asked import Asked
from segtrain.losses.base import ModeChoice
from segtrain.losses.dice_kin import log_dice_cost
from segtrain.losses.distribution import entropy_mean
from segtrain.losses.entropy import PowerEntropy
from segtrain.losses.options import Positive, Weight
from segtrain.losses.ranks import sum_over_ranks
from segtrain.losses.region import OverlapLoss
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

SMALLEST_DICE = 1e-7
"""Below this Dice the logarithm goes on as a straight line."""


@register_loss("exp_log")
class ExpLog(OverlapLoss):
    """Powers of -log Dice of each class and of each voxel's cross-entropy, rare classes weighted up in the latter.

    The weight of a class comes from its share of the batch: the square root of (voxels / voxels of the class).
    """

    family = "compound"
    formula = (
        "dice_weight mean_c (-log D_c)^exponent + ce_weight mean_i w_y (-log p_y)^exponent, w_c = (sum_k f_k / f_c)^0.5"
    )
    paper = "Wong 2018, MICCAI, arXiv 1809.00076"
    good_for = "objects of very unequal size (brain structures in its paper)"
    bad_at = "a calm end: below exponent 1 it pulls hardest where almost all is right"
    modes = ("multiclass",)

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        dice_weight: Annotated[Weight, "Weight of the Dice part."] = 0.8,
        ce_weight: Annotated[Weight, "Weight of the cross-entropy part."] = 0.2,
        exponent: Annotated[Positive, "Below 1 nearly right answers keep pulling (the paper's gamma)."] = 0.3,
        include_background: Annotated[bool, "Score class 0 of exclusive classes too, as the paper does."] = True,
        **shared: Any,
    ) -> None:
        super().__init__(mode, include_background=include_background, **shared)
        self.dice_weight, self.ce_weight, self.exponent = dice_weight, ce_weight, exponent

    def asked(self) -> Asked:
        """Counts, and cross-entropy to the power."""
        return Asked((PowerEntropy(self.exponent),), overlap=True)

    def measure(self, voxels: Voxels) -> Tensor:
        """Wong 2018, Eq. 1 to 3."""
        counts = self.counts(voxels)
        dice = bounded_power(log_dice_cost(counts, self.smooth, SMALLEST_DICE), self.exponent)
        cost = PowerEntropy(self.exponent)
        entropy = entropy_mean(voxels, cost, self.weights_of(voxels), (self._rarity(voxels), 1.0))
        return self.dice_weight * self.class_mean(dice, counts, voxels) + self.ce_weight * entropy

    def _rarity(self, voxels: Voxels) -> Tensor:
        """(C,): sqrt(sum f / f_c) in the batch; 0 for a class that has no voxel to weigh."""
        sizes = voxels.sums(overlap=True).truth.sum(0)
        if self.reduce_over != "sample":
            (sizes,) = sum_over_ranks(sizes)
        return torch.where(sizes > 0, ratio(sizes.sum(), sizes), 0.0).sqrt()
