"""Generalised Dice: one score over all classes, rare classes weighted up before the division."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal, final

import torch
from torch import Tensor

from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import SMOOTH, Weight
from segtrain.losses.overlap import Counts, overlap
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

Weighting = Literal["square", "simple", "uniform"]


class GeneralizedLoss(Loss):
    """A loss made from the generalised Dice of each sample.

    A class without a voxel in the truth has no weight by its size. With weight 0 its false positives are free, and a
    sample without any class that is scored costs nothing; with that of the smallest class it may drown the others.
    """

    family = "region"
    modes = ("multiclass", "multilabel")

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        weighting: Annotated[Weighting, "w_c is 1 / size^2 (square), 1 / size (simple) or 1 (uniform)."] = "square",
        include_background: Annotated[bool, "Score class 0 of exclusive classes too, as the paper does."] = True,
        reduce_over: Annotated[Literal["sample", "batch"], "A score for each sample, or one for the batch."] = "sample",
        absent: Annotated[
            Literal["skip", "max"],
            "A class without a voxel in the truth weighs nothing (skip), or as much as the one of largest weight that "
            "is there (max; 1 where there is none).",
        ] = "skip",
        smooth: Annotated[Weight, "Added to numerator and denominator, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.weighting: Weighting = weighting
        self.include_background = include_background
        self.reduce_over: Literal["sample", "batch"] = reduce_over
        self.absent: Literal["skip", "max"] = absent
        self.smooth = smooth

    def asked(self) -> Asked:
        """It is made of counts."""
        return Asked(overlap=True)

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean cost of the samples."""
        first = voxels.first(self.include_background)
        counts = overlap(voxels, first=first).pooled(self.reduce_over)
        weights, own = _size_weights(counts, self.weighting, self.absent), self.weights_of(voxels)
        if own is not None:
            weights = weights * own[first:]
        weights = ratio(weights, weights.sum(1, keepdim=True))
        errors = (weights * (counts.fp + counts.fn)).sum(1)
        hits = (weights * 2 * counts.tp).sum(1)
        counted = None if voxels.weight is None else counts.voxels[:, 0] > 0
        return weighted_mean(self.cost(ratio(errors, hits + errors + self.smooth)), counted)

    @abstractmethod
    def cost(self, dice: Tensor) -> Tensor:
        """Cost of each sample by its generalised Dice loss [B], 0 to 1."""


@register_loss("generalized_dice")
class GeneralizedDice(GeneralizedLoss):
    """Dice of all classes at once, each weighted by the inverse of its size (squared); absent classes: see `absent`."""

    formula = (
        "1 - (2 sum_c w_c TP_c + s) / (sum_c w_c (2 TP_c + FP_c + FN_c) + s), w_c = 1 / (sum g_c)^2, sum_c w_c = 1"
    )
    paper = "Sudre 2017, DLMIA, arXiv 1707.03237"
    good_for = "several classes of very unequal size that all are present, in one score"
    bad_at = "classes of a few voxels, one of which drowns the others; absent ones, whose false positives are free"

    def cost(self, dice: Tensor) -> Tensor:
        """Sudre 2017, Eq. of GDL."""
        return dice


@register_loss("penalty_gdice")
class PenaltyGeneralizedDice(GeneralizedLoss):
    """Generalised Dice whose cost falls fast while much is wrong and slowly near the end.

    k = 0 is `generalized_dice`. The cost of a hopeless answer stays 1.
    """

    formula = "L / (1 + k (1 - L)), L = generalized_dice"
    paper = "Su Yang 2019, MIDL, openreview H1lTh8unKN"
    good_for = "leaving hopeless answers behind: there it pulls 1 + k times as hard as generalized_dice"
    bad_at = "the end, where it pulls 1 + k times less; classes that are tiny or absent, as generalized_dice"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        k: Annotated[Weight, "Strength of the penalty."] = 2.5,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.k = k

    def cost(self, dice: Tensor) -> Tensor:
        """Su Yang 2019."""
        return dice / (1 + self.k * (1 - dice))


def _size_weights(counts: Counts, weighting: Weighting, absent: Literal["skip", "max"]) -> Tensor:
    """[B, C]."""
    power = {"square": 2, "simple": 1, "uniform": 0}[weighting]
    there = counts.size > 0
    weights = torch.where(there, counts.size.clamp_min(1e-3) ** -power, 0.0)
    if absent == "skip":
        return weights
    largest = weights.amax(1, keepdim=True)
    return torch.where(there, weights, torch.where(largest > 0, largest, 1.0))
