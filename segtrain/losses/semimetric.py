"""Dice and IoU that are 0 only where answer and truth agree, for truths between 0 and 1 too.

The product form of an overlap is not: for p = g = 0.5 it costs a half, and pulls p to 1. Here the part that two
memberships share is their minimum. For targets of 0 and 1 both are the same.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.arithmetic import bounded_power
from segtrain.losses.base import ModeChoice
from segtrain.losses.options import AtLeastOne, Weight
from segtrain.losses.overlap import Counts, overlap
from segtrain.losses.region import OverlapLoss, tversky_cost
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import voxel_sum
from segtrain.losses.voxels import Voxels


def soft_overlap(voxels: Voxels, *, first: int = 0) -> Counts:
    """tp = sum min(p, g), fp = sum (p - g)+, fn = sum (g - p)+ of the classes from `first` on."""
    if not voxels.is_soft:
        return overlap(voxels, first=first)
    p, g = voxels.answer_and_truth(first)
    shared, invented, missed, size = (
        voxel_sum(part, voxels) for part in (torch.minimum(p, g), F.relu(p - g), F.relu(g - p), g)
    )
    return Counts(shared, invented, missed, size, voxels.count.expand_as(size))


class SemimetricLoss(OverlapLoss):
    """One cost for each sample and class by their shared membership, averaged."""

    shared_voxels = True

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean cost."""
        counts = self.pooled(soft_overlap(voxels, first=self.first(voxels)), voxels)
        return self.class_mean(self.cost(counts), counts, voxels)

    @abstractmethod
    def cost(self, counts: Counts) -> Tensor:
        """Cost of each sample and class, of the shape of the counts."""


@register_loss("dml")
class DiceSemimetric(SemimetricLoss):
    """Dice for soft labels; for labels of 0 and 1 it is `dice`, and with other prices `tversky`.

    Exclusive classes of which voxels have a share each (several raters) go with mode multiclass and a floating target
    (B, C, *S) whose channels sum to 1; mode auto takes such a target for independent sigmoids.
    """

    formula = (
        "mean_c (1 - (I + s / 2) / (I + fp_weight F + fn_weight M + s / 2))^exponent, I = sum min(p, g), "
        "F = sum (p - g)+, M = sum (g - p)+"
    )
    paper = "Wang Z. 2023, MICCAI, arXiv 2303.16296"
    good_for = "soft labels, smoothed or of several raters: 0 only where answer and label agree"
    bad_at = "whatever dice is bad at: for hard labels it is dice"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        fp_weight: Annotated[
            Weight, "Price of what is answered beyond the label (the authors' alpha); 0.5 is Dice."
        ] = 0.5,
        fn_weight: Annotated[Weight, "Price of what the answer lacks (the authors' beta)."] = 0.5,
        exponent: Annotated[AtLeastOne, "Above 1 classes that are far from their labels pull harder (gamma)."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.fp_weight, self.fn_weight, self.exponent = fp_weight, fn_weight, exponent

    def cost(self, counts: Counts) -> Tensor:
        """Wang 2023 and, for the prices and the exponent, the authors' code."""
        # Half the smoothing: with both prices 0.5 this is Dice with all of it.
        return bounded_power(tversky_cost(counts, self.fp_weight, self.fn_weight, self.smooth / 2), self.exponent)


@register_loss("jml")
class JaccardMetric(SemimetricLoss):
    """IoU for soft labels, and a metric; for labels of 0 and 1 it is `iou`. Soft exclusive classes go as in `dml`."""

    formula = "1 - (P + G - d + 2 s) / (P + G + d + 2 s), P = sum p, G = sum g, d = sum |p - g|"
    paper = "Wang Z. 2023, NeurIPS, arXiv 2302.05666"
    good_for = "soft labels with IoU as the goal; a metric"
    bad_at = "whatever iou is bad at: for hard labels it is iou"

    def cost(self, counts: Counts) -> Tensor:
        """Wang 2023."""
        return tversky_cost(counts, 1, 1, self.smooth)
