"""Unified focal loss: a focal cross-entropy and a focal Tversky loss with the same two parameters."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, final

import torch
from torch import Tensor

from segtrain.losses.arithmetic import bounded_power, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.distribution import entropy_mean, sides
from segtrain.losses.entropy import PLAIN, EntropyCost, FocalEntropy
from segtrain.losses.options import SMOOTH, BelowOne, Share, Weight
from segtrain.losses.overlap import Counts, overlap
from segtrain.losses.region import tversky_cost
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


class UnifiedFocal(Loss):
    """What the two share. Every foreground class is a rare one; a sigmoid is a foreground and a background."""

    family = "compound"
    paper = "Yeung 2022, CMIG 95:102026, arXiv 2102.04525"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        weight: Annotated[Share, "Share of the focal Tversky part (the paper's lambda)."] = 0.5,
        delta: Annotated[Share, "Above 0.5 a missed object costs more than an invented one."] = 0.6,
        gamma: Annotated[BelowOne, "Fades out right background voxels, and keeps nearly solved objects pulling."] = 0.5,
        smooth: Annotated[Weight, "Added to numerator and denominator of the Tversky part, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.weight, self.delta, self.gamma, self.smooth = weight, delta, gamma, smooth

    @final
    def asked(self) -> Asked:
        """Counts of the Tversky part, costs of the other."""
        return Asked(self.entropy_costs(), overlap=True)

    @abstractmethod
    def entropy_costs(self) -> tuple[EntropyCost, ...]:
        """Costs of the focal cross-entropy."""

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """weight x focal Tversky + (1 - weight) x focal cross-entropy."""
        return self.weight * self._focal_tversky(voxels) + (1 - self.weight) * self.focal(voxels)

    def _focal_tversky(self, voxels: Voxels) -> Tensor:
        counts = overlap(voxels)
        costs = tversky_cost(counts, 1 - self.delta, self.delta, self.smooth)
        if voxels.mode == "multiclass":
            costs = torch.cat([self.background(costs[:, :1]), self._rare(costs[:, 1:])], 1).unsqueeze(0)
        else:
            inverse = tversky_cost(_inverse(counts), 1 - self.delta, self.delta, self.smooth)
            costs = torch.stack([self.background(inverse), self._rare(costs)])
        return weighted_mean(costs, voxels.sample_weights(self.weights_of(voxels)))

    def _rare(self, costs: Tensor) -> Tensor:
        return bounded_power(costs, 1 - self.gamma)

    @abstractmethod
    def background(self, costs: Tensor) -> Tensor:
        """What the Tversky costs of the background become."""

    @abstractmethod
    def focal(self, voxels: Voxels) -> Tensor:
        """The focal cross-entropy."""


@register_loss("unified_focal_asym")
class AsymmetricUnifiedFocal(UnifiedFocal):
    """Focal cross-entropy plus focal Tversky: right background fades out, nearly solved objects keep pulling."""

    formula = (
        "weight mean[1 - T_bg, (1 - T_fg)^(1 - gamma)] + (1 - weight) mean[delta CE_fg + (1 - delta) (1 - p_0)^gamma "
        "CE_bg], T = TP / (TP + delta FN + (1 - delta) FP)"
    )
    good_for = "one rare structure, with few numbers to tune (best of 7 on five data sets in its paper)"
    bad_at = "classes of equal worth: background fades and every foreground class is held to be rare"

    def entropy_costs(self) -> tuple[EntropyCost, ...]:
        """Of the foreground and of the background."""
        return PLAIN, FocalEntropy(self.gamma)

    def background(self, costs: Tensor) -> Tensor:
        """The same."""
        return costs

    def focal(self, voxels: Voxels) -> Tensor:
        """Plain for the foreground, focal for the background."""
        weights = self.weights_of(voxels)
        plain, faded = self.entropy_costs()
        foreground = entropy_mean(voxels, plain, weights, sides(voxels, self.delta, 0.0))
        return foreground + entropy_mean(voxels, faded, weights, sides(voxels, 0.0, 1 - self.delta))


@register_loss("unified_focal_sym")
class SymmetricUnifiedFocal(UnifiedFocal):
    """Focal cross-entropy plus focal Tversky, with the focal factor and power on all classes.

    The equation is from the design notes, whose values it has; the exponents are not checked against the paper.
    """

    formula = (
        "weight mean_c (1 - T_c)^(1 - gamma) + (1 - weight) mean d_t (1 - p_t)^gamma (-log p_t), d_t = delta for "
        "foreground, 1 - delta for background, T = TP / (TP + delta FN + (1 - delta) FP)"
    )
    good_for = "rare and common classes alike, with few numbers to tune"
    bad_at = "rare classes, whose easier voxels fade too; unified_focal_asym does without that"

    def entropy_costs(self) -> tuple[EntropyCost, ...]:
        """The focal cost."""
        return (FocalEntropy(self.gamma),)

    def background(self, costs: Tensor) -> Tensor:
        """As those of the foreground."""
        return bounded_power(costs, 1 - self.gamma)

    def focal(self, voxels: Voxels) -> Tensor:
        """Focal for all, at the prices of foreground and background."""
        (faded,) = self.entropy_costs()
        return entropy_mean(voxels, faded, self.weights_of(voxels), sides(voxels, self.delta, 1 - self.delta))


def _inverse(counts: Counts) -> Counts:
    """Those of the background of a sigmoid."""
    return Counts(counts.tn, counts.fn, counts.fp, counts.voxels - counts.size, counts.voxels)
