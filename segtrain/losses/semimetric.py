"""Dice and IoU that are 0 only where answer and truth agree, for truths between 0 and 1 too.

The product form of an overlap is not: for p = g = 0.5 it costs a half, and pulls p to 1. Here the part that two
memberships share is their minimum. For targets of 0 and 1 both are the same.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.overlap import Counts, overlap
from segtrain.losses.region import OverlapLoss, dice_cost, tversky_cost
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


def soft_overlap(voxels: Voxels, *, first: int = 0) -> Counts:
    """tp = sum min(p, g), fp = sum (p - g)+, fn = sum (g - p)+ of the classes from `first` on."""
    if not voxels.is_soft:
        return overlap(voxels, first=first)
    p, g = voxels.probabilities[:, first:], voxels.degrees(first)
    weight = 1 if voxels.weight is None else voxels.weight.unsqueeze(1)
    shared, invented, missed, size = (
        (part * weight).sum(-1) for part in (torch.minimum(p, g), F.relu(p - g), F.relu(g - p), g)
    )
    return Counts(shared, invented, missed, size, voxels.count.expand_as(size))


class SemimetricLoss(OverlapLoss):
    """One cost for each sample and class by their shared membership, averaged."""

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
    """Dice for soft labels; for labels of 0 and 1 it is `dice`."""

    formula = "1 - (P + G - d + s) / (P + G + s), P = sum p, G = sum g, d = sum |p - g|"
    paper = "Wang Z. 2023, MICCAI, arXiv 2303.16296"
    good_for = "soft labels, smoothed or of several raters: 0 only where answer and label agree"
    bad_at = "whatever dice is bad at: for hard labels it is dice"

    def cost(self, counts: Counts) -> Tensor:
        """Wang 2023."""
        return dice_cost(counts, self.smooth)


@register_loss("jml")
class JaccardMetric(SemimetricLoss):
    """IoU for soft labels, and a metric; for labels of 0 and 1 it is `iou`."""

    formula = "1 - (P + G - d + 2 s) / (P + G + d + 2 s), P = sum p, G = sum g, d = sum |p - g|"
    paper = "Wang Z. 2023, NeurIPS, arXiv 2302.05666"
    good_for = "soft labels with IoU as the goal; a metric"
    bad_at = "whatever iou is bad at: for hard labels it is iou"

    def cost(self, counts: Counts) -> Tensor:
        """Wang 2023."""
        return tversky_cost(counts, 1, 1, self.smooth)
