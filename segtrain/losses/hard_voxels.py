"""Losses of the hardest voxels only: by rank (top k), or by rank and how wrong they are (OHEM)."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from segtrain.losses.arithmetic import exact, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import Percent, Share
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


@register_loss("topk_ce")
class TopKCrossEntropy(Loss):
    """Mean of the k percent largest cross-entropies of the batch; k is of the voxels that count, and at least one.

    Weights do not change which voxels are the hardest, only what these count in the mean; a voxel or class of weight 0
    does not count. All of them (k = 100) are `ce`.
    """

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
        costs, weights = voxels.cross_entropy, voxels.weights(self.weights_of(voxels))
        at_most = _share_of(costs.numel(), self.k)
        if weights is None:
            return costs.flatten().topk(at_most, sorted=False).values.mean()
        weights = weights.to(costs.dtype).expand_as(costs).flatten()
        largest, places = _behind(costs.flatten(), weights).topk(at_most)
        # How many of them to keep is known on the device only.
        keep = torch.arange(at_most, device=largest.device) < _share_of_counted(weights, self.k)
        return weighted_mean(largest, weights[places] * keep)


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
        costs, weights = voxels.cross_entropy, voxels.weights(self.weights_of(voxels))
        if weights is not None:
            weights = weights.to(costs.dtype).expand_as(costs)
        kept = self._kept(costs.detach(), weights).to(costs.dtype)
        return weighted_mean(costs, kept if weights is None else kept * weights)

    @torch.no_grad()
    def _kept(self, costs: Tensor, weights: Tensor | None) -> Tensor:
        """Bool, of the shape of the costs."""
        at_most = _share_of(costs.numel(), self.min_percent)
        hard = torch.exp(-costs) <= self.threshold
        if weights is None:
            return hard | (costs >= costs.flatten().topk(at_most, sorted=False).values.amin())
        ranked = _behind(costs, weights)
        last = _share_of_counted(weights, self.min_percent) - 1
        # A lookup by a number of the device would make a GPU wait.
        least = ranked.flatten().topk(at_most).values.index_select(0, last.clamp(0, at_most - 1).view(1))
        return hard | (ranked >= least)


def _behind(costs: Tensor, weights: Tensor) -> Tensor:
    """The costs, where a voxel that weighs nothing comes after all others."""
    return costs.masked_fill(weights == 0, -1)


def _share_of(voxels: int, percent: float) -> int:
    return min(voxels, math.ceil(voxels * percent / 100))


def _share_of_counted(weights: Tensor, percent: float) -> Tensor:
    """The same of the voxels that weigh anything: known on the device only."""
    return torch.ceil((weights > 0).sum().to(exact(weights)) * percent / 100).long()
