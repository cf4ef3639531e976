"""Dice and its errors under other functions: powers, logarithms, prices by size, and an angle."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from segtrain.losses.arithmetic import bounded_power, ratio
from segtrain.losses.asked import Asked
from segtrain.losses.base import ModeChoice
from segtrain.losses.options import AtLeastOne, OpenShare, Weight
from segtrain.losses.overlap import Counts, overlap, power_overlap
from segtrain.losses.region import OverlapLoss, PowerLoss, RegionLoss, dice_cost
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

OneToTwo = Annotated[float, Field(ge=1, le=2)]


def log_dice_cost(counts: Counts, smooth: float, eps: float) -> Tensor:
    """-log D of each sample and class, D = (2 TP + s) / (2 TP + FP + FN + s); below D = eps a straight line."""
    errors, hits = counts.fp + counts.fn, 2 * counts.tp + smooth
    least = eps * (hits + errors)
    score = ratio(hits, hits + errors)
    cost = torch.log1p(ratio(errors, torch.maximum(hits, least)))
    return torch.where(hits < least, 1 - math.log(eps) - score / eps, cost)


@register_loss("log_dice")
class LogDice(RegionLoss):
    """Negative logarithm of Dice, for each class before the mean: the worse a class, the harder it pulls.

    Without a bound, a class that is absent from the truth costs up to -log(smooth / false positives); see `absent`.
    """

    formula = "mean_c -log D_c, D = (2 TP + s) / (2 TP + FP + FN + s)"
    paper = ""
    good_for = "classes that are still poor: the worse one is, the harder it pulls"
    bad_at = "classes absent from the truth, whose cost has hardly a bound and fills the mean"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        eps: Annotated[OpenShare, "Below this Dice the logarithm goes on as a straight line."] = 1e-7,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.eps = eps

    def cost(self, counts: Counts) -> Tensor:
        """-log D."""
        return log_dice_cost(counts, self.smooth, self.eps)


@register_loss("focal_dice")
class FocalDice(RegionLoss):
    """One minus a root of Dice, for each class before the mean: badly segmented classes pull harder; beta 1 is Dice."""

    formula = "mean_c 1 - D_c^(1 / beta), D = (2 TP + s) / (2 TP + FP + FN + s)"
    paper = "Wang P. & Chung 2018, DLMIA"
    good_for = "classes that are harder than the others (parts of brain tumours in its paper)"
    bad_at = "classes near Dice 0, where its slope is steep; solved ones pull 1 / beta as hard as in dice"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        beta: Annotated[AtLeastOne, "The larger, the more the classes differ in their pull."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.beta = beta

    def cost(self, counts: Counts) -> Tensor:
        """Wang & Chung 2018."""
        return 1 - bounded_power(1 - dice_cost(counts, self.smooth), 1 / self.beta)


@register_loss("dice_pp")
class DicePlusPlus(PowerLoss):
    """Dice whose errors count to a power, so that certain errors outweigh hesitant ones; gamma 1 is Dice.

    For soft labels the errors are |p - g|, so that they are 0 where answer and label agree. The equation is from the
    design notes, not checked against the paper.
    """

    formula = "1 - (2 TP + s) / (2 TP + sum (p (1 - g))^gamma + sum ((1 - p) g)^gamma + s)"
    paper = "Yeung 2021, arXiv 2111.00528"
    good_for = "less overconfidence than dice: certain errors cost more than hesitant ones"
    bad_at = "many faint false positives, which cost little; at gamma 2 it is dice_squared"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        gamma: Annotated[AtLeastOne, "Power of an error; 2 is `dice_squared`."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.error_power = gamma

    def cost(self, counts: Counts) -> Tensor:
        """Yeung 2021."""
        return dice_cost(counts, self.smooth)


@register_loss("sensitivity_specificity")
class SensitivitySpecificity(PowerLoss):
    """Mean squared error of the object and of the rest, each by its own size, at the prices r and 1 - r."""

    formula = "r sum (g - p)^2 g / sum g + (1 - r) sum (g - p)^2 (1 - g) / sum (1 - g)"
    paper = "Brosch 2015, MICCAI"
    good_for = "tiny lesions (MS in its paper): object and rest each count by their own size"
    bad_at = "use without tuning r: 16.6 points below dice on liver tumours at r 0.1 (Ma 2021)"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        r: Annotated[OpenShare, "Weight of the object's error; small, because an object is small."] = 0.05,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.r = r

    def cost(self, counts: Counts) -> Tensor:
        """Brosch 2015; a part without voxels costs nothing."""
        missed = ratio(counts.fn, counts.size + self.smooth)
        invented = ratio(counts.fp, counts.voxels - counts.size + self.smooth)
        return self.r * missed + (1 - self.r) * invented


@register_loss("nr_dice")
class NoiseRobustDice(OverlapLoss):
    """Errors to the power gamma over sums of squares: between the mean absolute error and squared Dice (gamma = 2).

    Below gamma 2 many small probabilities may cost more than 1.
    """

    formula = "sum |p - g|^gamma / (sum p^2 + sum g^2 + s)"
    paper = "Wang G. 2020, IEEE TMI (COPLE-Net)"
    good_for = "noisy labels (COVID-19 lesions in its paper): outliers pull less than in dice_squared"
    bad_at = "hard voxels with a right label, which pull less too; many faint answers, which may cost above 1"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        gamma: Annotated[OneToTwo, "Power of an error; the smaller, the less a wrong label pulls."] = 1.5,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.gamma = gamma

    def asked(self) -> Asked:
        """Errors to the power, and their squares for the denominator."""
        return Asked(overlap=True, powers=(self.gamma, 2.0))

    def measure(self, voxels: Voxels) -> Tensor:
        """Wang 2020, with sum p^2 + sum g^2 = 2 sum p g + sum (p - g)^2."""
        counts, squared = (
            self.pooled(power_overlap(voxels, power, first=self.first(voxels)), voxels) for power in (self.gamma, 2.0)
        )
        costs = ratio(counts.fp + counts.fn, 2 * squared.tp + squared.fp + squared.fn + self.smooth)
        return self.class_mean(costs, counts, voxels)


@register_loss("tvmf_dice")
class TvmfDice(OverlapLoss):
    """Squared distance of answer and truth by the angle between them, made narrow by kappa (t-vMF similarity).

    The angle does not see how large the probabilities are, so the background has to be scored too. The equation is from
    the design notes and the authors' code, not checked against the paper; kappa is fixed, not adapted.
    """

    formula = "mean_c (1 - phi_c)^2, phi = (1 + cos) / (1 + kappa (1 - cos)) - 1, cos = p g / (|p| |g|)"
    paper = "Kato & Hotta 2022, arXiv 2207.07842"
    good_for = "several classes at once where near misses shall still cost (narrow similarity)"
    bad_at = "the size of probabilities, to which an angle is blind: keep the background scored"
    modes = ("multiclass",)

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        kappa: Annotated[Weight, "How narrow: 0 is the plain cosine."] = 32.0,
        include_background: Annotated[bool, "Score class 0 of exclusive classes too, as the paper does."] = True,
        **shared: Any,
    ) -> None:
        super().__init__(mode, include_background=include_background, **shared)
        self.kappa = kappa

    def measure(self, voxels: Voxels) -> Tensor:
        """Kato & Hotta 2022, with 1 - phi = (2 kappa + 1) u / (1 + kappa u) where u = 1 - cos."""
        plain = overlap(voxels, first=self.first(voxels))
        squares = replace(plain, tp=_squares(voxels, self.first(voxels)))
        counts = self.pooled(plain, voxels)
        u = _angle_cost(counts.tp, self.pooled(squares, voxels).tp, counts.size, self.smooth)
        return self.class_mean(((2 * self.kappa + 1) * u / (1 + self.kappa * u)) ** 2, counts, voxels)


def _squares(voxels: Voxels, first: int) -> Tensor:
    """[B, C]: sum p^2."""
    p = voxels.probabilities[:, first:]
    return (p * p if voxels.weight is None else p * p * voxels.weight.unsqueeze(1)).sum(-1)


def _angle_cost(hits: Tensor, answers: Tensor, truth: Tensor, smooth: float) -> Tensor:
    """1 - cos of the angle between two vectors by their products, both with sqrt(smooth) as a further component."""
    # The slope of a root is infinite at 0; below this there is no direction.
    lengths = ((answers + smooth) * (truth + smooth)).clamp_min(1e-20).sqrt()
    return torch.where(answers + truth == 0, 0.0, 1 - (hits + smooth) / lengths).clamp_min(0)
