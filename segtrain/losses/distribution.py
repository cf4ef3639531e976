"""Distribution losses: a cost for each voxel, then the mean over those that count."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.arithmetic import bounded_power, ratio, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import Percent, Positive, Share, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


class VoxelLoss(Loss):
    """Mean of a cost for each voxel. With class weights the divisor is the sum of the weights, as in torch."""

    family = "distribution"

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean over the voxels (and outputs) that count."""
        return weighted_mean(self.cost(voxels), voxels.weights(self.weights_of(voxels)))

    @abstractmethod
    def cost(self, voxels: Voxels) -> Tensor:
        """(B, N) for exclusive classes, (B, C, N) for sigmoids."""


@register_loss("ce")
class CrossEntropy(VoxelLoss):
    """Cross-entropy of the true class; under sigmoids, of each output (there it is `bce`)."""

    formula = "mean -log p_y"
    paper = ""

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        label_smoothing: Annotated[Share, "Share of the truth that is spread over all classes."] = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.label_smoothing = label_smoothing

    def cost(self, voxels: Voxels) -> Tensor:
        """Cross-entropy with the truth (1 - e) g + e / classes."""
        if self.label_smoothing == 0:
            return voxels.cross_entropy
        if voxels.mode == "multiclass":
            spread = -voxels.log_probabilities.mean(1)
        else:
            spread = -(F.logsigmoid(voxels.logits) + F.logsigmoid(-voxels.logits)) / 2
        return torch.lerp(voxels.cross_entropy, spread, self.label_smoothing)


@register_loss("bce")
class BinaryCrossEntropy(VoxelLoss):
    """Cross-entropy of each sigmoid, from logits: a certain error keeps its gradient."""

    formula = "mean -[pos_weight g log p + (1 - g) log(1 - p)]"
    paper = ""
    modes = ("binary", "multilabel")

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        pos_weight: Annotated[Positive, "Weight of foreground voxels."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.pos_weight = pos_weight

    def cost(self, voxels: Voxels) -> Tensor:
        """Binary cross-entropy."""
        if self.pos_weight == 1:
            return voxels.cross_entropy
        x, truth = voxels.logits, voxels.truth.to(voxels.logits.dtype)
        weight = x.new_tensor(self.pos_weight)
        return F.binary_cross_entropy_with_logits(x, truth, reduction="none", pos_weight=weight)


def focal_cost(cross_entropy: Tensor, gamma: float) -> Tensor:
    """(1 - p_t)^gamma (-log p_t) for each voxel, from -log p_t; targets of 0 and 1."""
    return bounded_power(-torch.expm1(-cross_entropy), gamma) * cross_entropy


@register_loss("focal")
class Focal(VoxelLoss):
    """Cross-entropy that fades out, voxel by voxel, where the answer is right already.

    A number as alpha weighs the foreground with alpha and the background with 1 - alpha; a list has a weight a class.
    """

    formula = "mean -alpha_t (1 - p_t)^gamma log p_t, alpha_t = alpha for foreground, 1 - alpha for background"
    paper = "Lin 2017, ICCV, arXiv 1708.02002"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        gamma: Annotated[Weight, "How fast right voxels fade out; 0 is cross-entropy."] = 2.0,
        alpha: Annotated[
            Share | tuple[Weight, ...] | None, "Weight of the foreground, or one weight a class; null: 1 everywhere."
        ] = 0.25,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.gamma, self.alpha = gamma, alpha

    def cost(self, voxels: Voxels) -> Tensor:
        """Lin 2017, Eq. 5."""
        cost = focal_cost(voxels.cross_entropy, self.gamma)
        return cost if self.alpha is None else cost * self._alpha_t(self.alpha, voxels)

    def _alpha_t(self, alpha: float | tuple[float, ...], voxels: Voxels) -> Tensor:
        truth = voxels.truth
        if isinstance(alpha, tuple):
            if voxels.mode != "multiclass" or len(alpha) != voxels.outputs:
                raise ValueError(
                    f"focal: a list as alpha needs exclusive classes, one number each; it has {len(alpha)}, and the "
                    f"{voxels.mode} logits have {voxels.outputs} channels"
                )
            return voxels.logits.new_tensor(alpha)[truth]
        foreground = (truth > 0 if voxels.mode == "multiclass" else truth).to(voxels.logits.dtype)
        return alpha * foreground + (1 - alpha) * (1 - foreground)


@register_loss("topk_ce")
class TopKCrossEntropy(Loss):
    """Mean of the k percent largest cross-entropies of the batch; k is of the voxels that count, and at least one."""

    family = "distribution"
    formula = "mean of the ceil(k N / 100) largest -log p_y"
    paper = "Wu 2016, arXiv 1605.06885"

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
        largest = costs.topk(self._kept(costs.numel()), sorted=True).values
        if voxels.valid is None:
            return largest.mean()
        # Ignored voxels cost 0 and so come last; how many of the others to keep is known on the device only.
        counted = voxels.valid.sum() * (costs.numel() // voxels.valid.numel())
        kept = torch.ceil(counted * self.k / 100).clamp_max(len(largest))
        keep = torch.arange(len(largest), device=largest.device) < kept
        return ratio((largest * keep).sum(), kept.to(largest.dtype))

    def _kept(self, voxels: int) -> int:
        return min(voxels, math.ceil(voxels * self.k / 100))
