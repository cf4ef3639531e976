"""Losses of the hardest voxels only: by rank (top k), or by rank and how wrong they are (OHEM)."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import Percent, Share
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


@register_loss("topk_ce")
class TopKCrossEntropy(Loss):
    """Mean of the k percent largest cross-entropies of the batch; k is of the voxels that count, and at least one."""

    family = "distribution"
    formula = "mean of the ceil(k N / 100) largest -log p_y"
    paper = "Wu 2016, arXiv 1605.06885"
    good_for = "hard regions without class weights: a little above dice on pancreas and organs (Ma 2021)"
    bad_at = (
        "wrong labels, which are the hardest voxels; unstable alone: it collapsed on liver with one trainer (Ma 2021)"
    )

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        k: Annotated[Percent, "Percent of the voxels that are kept."] = 10.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.k = k

    def measure(self, voxels: Voxels) -> Tensor:
        """Wu 2016."""
        cost, weights = voxels.cross_entropy, voxels.weights(self.weights_of(voxels))
        costs = (cost if weights is None else cost * weights).flatten()
        largest = costs.topk(_share_of(costs.numel(), self.k), sorted=True).values
        if voxels.valid is None:
            return largest.mean()
        # Ignored voxels cost 0 and so come last; how many of the others to keep is known on the device only.
        kept = _share_of_valid(voxels, costs.numel(), self.k).clamp_max(len(largest))
        keep = torch.arange(len(largest), device=largest.device) < kept
        return ratio((largest * keep).sum(), kept.to(largest.dtype))


@register_loss("ohem_ce")
class OnlineHardExamples(Loss):
    """Mean cross-entropy of the voxels whose true class is no more probable than the threshold.

    Where these are fewer than `min_percent` of the voxels that count, the hardest of the others join them.
    The equation is from the design notes and mmsegmentation's sampler, not checked against the paper.
    """

    family = "distribution"
    formula = "mean -log p_y over voxels with p_y <= threshold, of at least the hardest min_percent"
    paper = "Shrivastava 2016, CVPR, arXiv 1604.03540"
    good_for = "few hard voxels among many easy ones, when their share is not known beforehand"
    bad_at = "noisy labels, which always count as hard; probabilities above the threshold are not refined"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        threshold: Annotated[Share, "Voxels whose truth is no more probable are kept; 1 is cross-entropy."] = 0.7,
        min_percent: Annotated[Percent, "Percent of the voxels that are kept in any case."] = 10.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.threshold, self.min_percent = threshold, min_percent

    def measure(self, voxels: Voxels) -> Tensor:
        """The choice is made on costs without weights and has no gradient."""
        cost = voxels.cross_entropy
        weights = voxels.weights(self.weights_of(voxels))
        kept = self._kept(voxels).to(cost.dtype)
        return weighted_mean(cost, kept if weights is None else kept * weights)

    @torch.no_grad()
    def _kept(self, voxels: Voxels) -> Tensor:
        """Bool, of the shape of the costs."""
        cost = voxels.cross_entropy.detach()
        if voxels.valid is not None:
            counted = voxels.valid if cost.ndim == voxels.valid.ndim else voxels.valid.unsqueeze(1)
            cost = cost.masked_fill(~counted, -1)
        largest = cost.flatten().topk(_share_of(cost.numel(), self.min_percent), sorted=True).values
        last = _share_of_valid(voxels, cost.numel(), self.min_percent).long() - 1
        hard = torch.exp(-cost) <= self.threshold
        return (hard | (cost >= largest[last.clamp(0, len(largest) - 1)])) & (cost >= 0)


def _share_of(voxels: int, percent: float) -> int:
    return min(voxels, math.ceil(voxels * percent / 100))


def _share_of_valid(voxels: Voxels, values: int, percent: float) -> Tensor:
    """The same of the values that belong to voxels that count: known on the device only."""
    if voxels.valid is None:
        return torch.tensor(_share_of(values, percent), device=voxels.raw.device)
    return torch.ceil(voxels.valid.sum() * (values // voxels.valid.numel()) * percent / 100)
