"""Distribution losses: a cost for each voxel, then the mean over those that count.

Most cost what a function of the voxel's cross-entropy says, so that their sum comes from the pass that all share.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.arithmetic import beside, ratio, weighted_mean
from segtrain.losses.asked import NOTHING, Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.entropy import PLAIN, EntropyCost, FocalEntropy
from segtrain.losses.options import BelowOne, OpenShare, Positive, Share, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Mode, Voxels

Price = Tensor | float
"""A number, or one for each output."""


def entropy_mean(
    voxels: Voxels, cost: EntropyCost, class_weights: Tensor | None, prices: tuple[Price, Price] = (1.0, 1.0)
) -> Tensor:
    """Mean cost of the voxels, at the prices of members of a class and, under sigmoids, of all others.

    With class weights the divisor is the sum of the weights, as in torch.
    """
    sums = voxels.sums(cost, overlap=False)
    costs = prices[0] * sums.members[0]
    if sums.others:
        costs = costs + prices[1] * sums.others[0]
    counts = sums.truth if voxels.mode == "multiclass" else voxels.count.expand_as(sums.truth)
    if class_weights is not None:
        costs, counts = costs * class_weights, counts * class_weights
    return ratio(costs.sum(), counts.sum())


def two_sided_mean(voxels: Voxels, class_weights: Tensor | None, foreground: float, background: float) -> Tensor:
    """Mean cross-entropy of sigmoids, -g log p and -(1 - g) log(1 - p) at their prices."""
    if foreground == background or not voxels.is_soft:
        return entropy_mean(voxels, PLAIN, class_weights, (foreground, background))
    # A half member costs both parts, so it cannot be priced as a whole.
    inside, outside = F.logsigmoid(voxels.logits), F.logsigmoid(-voxels.logits)
    cost = -(foreground * voxels.truth * inside + background * (1 - voxels.truth) * outside)
    return weighted_mean(cost, voxels.weights(class_weights))


def sides(voxels: Voxels, foreground: float, background: float) -> tuple[Price, Price]:
    """Prices of two sides: class 0 and the other classes, or those outside and inside of a sigmoid."""
    if voxels.mode != "multiclass":
        return foreground, background
    return beside(voxels.raw, [background, *[foreground] * (voxels.outputs - 1)], voxels.dtype), 1.0


class EntropyLoss(Loss):
    """Mean over the voxels of a cost of their cross-entropy."""

    family = "distribution"

    @final
    def asked(self) -> Asked:
        """The one cost."""
        return Asked((self.entropy_cost(),))

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean of the cost at its prices."""
        return entropy_mean(voxels, self.entropy_cost(), self.weights_of(voxels), self.prices(voxels))

    @abstractmethod
    def entropy_cost(self) -> EntropyCost:
        """Cost of a voxel by its cross-entropy."""

    def prices(self, voxels: Voxels) -> tuple[Price, Price]:  # noqa: ARG002
        """Of the voxels of a class and, under sigmoids, of the others."""
        return 1.0, 1.0


@register_loss("ce")
class CrossEntropy(Loss):
    """Cross-entropy of the true class; under sigmoids, of each output (there it is `bce`).

    With label smoothing a perfect, certain answer is not its minimum. Class weights then weigh the share of each class
    that the labels are spread over, as in torch.
    """

    family = "distribution"
    formula = "mean -log p_y"
    paper = ""
    good_for = "balanced classes and probabilities to be read as such; a gradient at every voxel"
    bad_at = (
        "small objects, outvoted by background: in Ma 2021 5.5 points below dice on tumours with one trainer of two"
    )

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        label_smoothing: Annotated[BelowOne, "Share of the truth that is spread over all classes."] = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.label_smoothing = label_smoothing
        self.optimum = 0.0 if label_smoothing == 0 else None

    def asked(self) -> Asked:
        """The cross-entropy itself; smoothed, it is no function of it."""
        return Asked((PLAIN,)) if self.label_smoothing == 0 else NOTHING

    def measure(self, voxels: Voxels) -> Tensor:
        """Cross-entropy with the truth (1 - e) g + e / classes."""
        weights = self.weights_of(voxels)
        if self.label_smoothing == 0:
            return entropy_mean(voxels, PLAIN, weights)
        if voxels.mode != "multiclass":
            spread = -(F.logsigmoid(voxels.logits) + F.logsigmoid(-voxels.logits)) / 2
            cost = torch.lerp(voxels.cross_entropy, spread, self.label_smoothing)
            return weighted_mean(cost, voxels.weights(weights))
        weighted = voxels.log_probabilities if weights is None else voxels.log_probabilities * weights.unsqueeze(1)
        labelled = weighted_mean(voxels.cross_entropy, voxels.weights(weights))
        spread = weighted_mean(-weighted.mean(1), voxels.weight)
        if weights is not None:
            # The divisor of both is the sum of the true classes' weights.
            spread = ratio(spread, weighted_mean(weights[voxels.truth], voxels.weight))
        return torch.lerp(labelled, spread, self.label_smoothing)


@register_loss("weighted_ce")
class WeightedCrossEntropy(EntropyLoss):
    """Cross-entropy with a weight for each class: `ce` with `class_weights`, whose scale does not matter."""

    formula = "sum w_y (-log p_y) / sum w_y, w = class_weights"
    paper = "Ronneberger 2015, MICCAI, arXiv 1505.04597"
    good_for = "imbalance of a known size, with moderate weights set by hand"
    bad_at = "weights of inverse frequency, which make it over-predict: last of 20 by mean rank in Ma 2021"
    modes = ("multiclass",)

    def entropy_cost(self) -> EntropyCost:
        """The cross-entropy itself."""
        return PLAIN


class TwoSidedCrossEntropy(Loss):
    """Cross-entropy of each sigmoid, its two sides at their prices."""

    family = "distribution"
    modes: ClassVar[tuple[Mode, ...]] = ("binary", "multilabel")

    @final
    def asked(self) -> Asked:
        """The cross-entropy itself."""
        return Asked((PLAIN,))

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean over voxels and outputs."""
        return two_sided_mean(voxels, self.weights_of(voxels), *self.side_prices())

    @abstractmethod
    def side_prices(self) -> tuple[float, float]:
        """Of foreground and background."""


@register_loss("bce")
class BinaryCrossEntropy(TwoSidedCrossEntropy):
    """Cross-entropy of each sigmoid, from logits: a certain error keeps its gradient."""

    formula = "mean -[pos_weight g log p + (1 - g) log(1 - p)]"
    paper = ""
    good_for = "one structure, or structures that overlap, with probabilities to be read as such"
    bad_at = "small objects: almost all sigmoids are easy background unless pos_weight is raised"

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

    def side_prices(self) -> tuple[float, float]:
        """The foreground at its price."""
        return self.pos_weight, 1.0


@register_loss("balanced_bce")
class BalancedBinaryCrossEntropy(TwoSidedCrossEntropy):
    """Binary cross-entropy whose two sides share a weight of 1: `focal` without focus, with alpha = beta."""

    formula = "mean -[beta g log p + (1 - beta)(1 - g) log(1 - p)]"
    paper = ""
    good_for = "one number between missed and invented voxels"
    bad_at = "small objects at beta 0.5, where it is half of bce; a high beta shifts all probabilities up"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        beta: Annotated[OpenShare, "Weight of foreground voxels; the background has 1 - beta."] = 0.5,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.beta = beta

    def side_prices(self) -> tuple[float, float]:
        """Both at their prices."""
        return self.beta, 1 - self.beta


@register_loss("focal")
class Focal(EntropyLoss):
    """Cross-entropy that fades out, voxel by voxel, where the answer is right already.

    A number as alpha weighs the foreground with alpha and the background with 1 - alpha; a list has a weight a class.
    The default is the paper's, 0.25; 0.5, as in Ma 2021, or null favour neither side.
    """

    formula = "mean -alpha_t (1 - p_t)^gamma log p_t, alpha_t = alpha for foreground, 1 - alpha for background"
    paper = "Lin 2017, ICCV, arXiv 1708.02002"
    good_for = "few hard voxels among very many easy ones; beside a region loss, as in dice_focal"
    bad_at = "small lesions alone: 15.1 points below dice on liver tumours (Ma 2021, alpha 0.5); unsure answers"

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

    def entropy_cost(self) -> EntropyCost:
        """Lin 2017, Eq. 4."""
        return FocalEntropy(self.gamma)

    def prices(self, voxels: Voxels) -> tuple[Price, Price]:
        """Lin 2017, Eq. 5: alpha_t."""
        alpha = self.alpha
        if alpha is None:
            return 1.0, 1.0
        if isinstance(alpha, tuple):
            if voxels.mode != "multiclass" or len(alpha) != voxels.outputs:
                raise ValueError(
                    f"focal: a list as alpha needs exclusive classes, one number each; it has {len(alpha)}, and the "
                    f"{voxels.mode} logits have {voxels.outputs} channels"
                )
            return beside(voxels.raw, alpha, voxels.dtype), 1.0
        return sides(voxels, alpha, 1 - alpha)
