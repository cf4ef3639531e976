"""Region losses: a score of overlap for each sample and class, turned into a cost, then averaged.

A cost is written as errors / (hits + errors + smooth), which equals 1 - (hits + smooth) / (hits + errors + smooth):
it keeps its digits near 0 and is 0, not undefined, where nothing is there and nothing was predicted.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, final

import torch
from torch import Tensor

from segtrain.losses.arithmetic import bounded_power, ratio, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import SMOOTH, Absent, Positive, ReduceOver, Weight
from segtrain.losses.overlap import Counts, overlap, power_overlap, sizes
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


class OverlapLoss(Loss):
    """A loss made from overlap counts; holds the options that all of these share."""

    family = "region"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        include_background: Annotated[bool, "Score class 0 of exclusive classes too."] = False,
        reduce_over: Annotated[
            ReduceOver,
            "sample: a score for each sample and class; batch: sums pooled over the batch; flat: over classes too.",
        ] = "sample",
        absent: Annotated[
            Absent,
            "A class without a voxel in the truth is scored as any other (keep), left out of the mean (skip) or costs "
            "its mean false-positive probability (fp_only).",
        ] = "keep",
        smooth: Annotated[Weight, "Added to numerator and denominator, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.include_background = include_background
        self.reduce_over: ReduceOver = reduce_over
        self.absent = absent
        self.smooth = smooth

    def asked(self) -> Asked:
        """It is made of them."""
        return Asked(overlap=True)

    def counts(self, voxels: Voxels) -> Counts:
        """Overlap of the scored classes, pooled as asked for."""
        return self.pooled(overlap(voxels, first=self.first(voxels)), voxels)

    def sizes(self, voxels: Voxels) -> Counts:
        """The same for `class_mean` alone, which seldom looks at more than the sizes."""
        return (
            self.counts(voxels)
            if self.absent == "fp_only"
            else self.pooled(sizes(voxels, first=self.first(voxels)), voxels)
        )

    def pooled(self, counts: Counts, voxels: Voxels) -> Counts:
        """Counts of the scored classes, over samples and classes as asked for."""
        weights = self.weights_of(voxels)
        return counts.pooled(self.reduce_over, None if weights is None else weights[self.first(voxels) :])

    def class_mean(self, costs: Tensor, counts: Counts, voxels: Voxels) -> Tensor:
        """Mean of costs (of the shape of the counts) over samples and classes, with weights and the absent rule."""
        weights = self.weights_of(voxels)
        if weights is not None:
            # Flat counts carry the weights already.
            weights = None if self.reduce_over == "flat" else weights[self.first(voxels) :]
        if self.absent == "fp_only":
            costs = torch.where(counts.size > 0, costs, ratio(counts.fp, counts.voxels))
        counted = self._counted(counts, voxels)
        if counted is not None:
            weights = counted.to(costs.dtype) if weights is None else weights * counted
        return weighted_mean(costs, weights)

    def _counted(self, counts: Counts, voxels: Voxels) -> Tensor | None:
        """Which (sample, class) pairs enter the mean; None: all."""
        if self.absent == "skip":
            return counts.size > 0
        return None if voxels.weight is None else counts.voxels > 0

    def first(self, voxels: Voxels) -> int:
        """The first class that is scored."""
        return voxels.first(self.include_background)


class RegionLoss(OverlapLoss):
    """One cost for each sample and class, averaged."""

    @final
    def measure(self, voxels: Voxels) -> Tensor:
        """Mean cost."""
        counts = self.counts(voxels)
        return self.class_mean(self.cost(counts), counts, voxels)

    @abstractmethod
    def cost(self, counts: Counts) -> Tensor:
        """Cost of each sample and class, of the shape of the counts."""


class PowerLoss(RegionLoss):
    """One cost for each sample and class, where an error counts |p - g|^`error_power`."""

    error_power: float = 2.0

    @final
    def asked(self) -> Asked:
        """Those powers."""
        return Asked(overlap=True, powers=(self.error_power,))

    @final
    def counts(self, voxels: Voxels) -> Counts:
        """Errors to the power, in the scored classes, pooled as asked for."""
        return self.pooled(power_overlap(voxels, self.error_power, first=self.first(voxels)), voxels)


def dice_cost(counts: Counts, smooth: float) -> Tensor:
    """1 - (2 TP + s) / (2 TP + FP + FN + s)."""
    errors = counts.fp + counts.fn
    return ratio(errors, 2 * counts.tp + errors + smooth)


def tversky_cost(counts: Counts, fp_weight: float, fn_weight: float, smooth: float) -> Tensor:
    """1 - (TP + s) / (TP + a FP + b FN + s)."""
    errors = fp_weight * counts.fp + fn_weight * counts.fn
    return ratio(errors, counts.tp + errors + smooth)


@register_loss("dice")
class Dice(RegionLoss):
    """Soft Dice, the plain form with linear sums in the denominator."""

    formula = "1 - (2 TP + s) / (2 TP + FP + FN + s)"
    paper = "Drozdzal 2016, arXiv 1608.04117"
    good_for = "overlap of foreground that is small in the scan: above any weighted ce in Dice (Eelbode 2020)"
    bad_at = "patches without foreground, whose false positives get next to no gradient; unstable alone; overconfident"

    def cost(self, counts: Counts) -> Tensor:
        """Drozdzal 2016."""
        return dice_cost(counts, self.smooth)


@register_loss("dice_squared")
class DiceSquared(PowerLoss):
    """Soft Dice of V-Net, with squares in the denominator: small probabilities far from the object cost less."""

    formula = "1 - (2 sum p g + s) / (sum p^2 + sum g^2 + s)"
    paper = "Milletari 2016, 3DV, arXiv 1606.04797"
    good_for = "foreground that is small in the scan, with a mild price for faint answers far off"
    bad_at = "faint false positives over a wide area, which it hardly sees; patches without foreground"

    def cost(self, counts: Counts) -> Tensor:
        """Milletari 2016, with sum p^2 + sum g^2 = 2 sum p g + sum (p - g)^2."""
        return dice_cost(counts, self.smooth)


@register_loss("iou", "jaccard")
class IoU(RegionLoss):
    """Soft intersection over union (Jaccard)."""

    formula = "1 - (TP + s) / (TP + FP + FN + s)"
    paper = "Rahman & Wang 2016, ISVC"
    good_for = "the end of training: next to the truth it pulls twice as hard as dice (ranks 7.0 and 6.4 in Ma 2021)"
    bad_at = "the start: far from the truth it pulls half as hard as dice; patches without foreground"

    def cost(self, counts: Counts) -> Tensor:
        """Rahman & Wang 2016."""
        return tversky_cost(counts, 1, 1, self.smooth)


@register_loss("tversky")
class Tversky(RegionLoss):
    """Overlap with different prices for false positives and false negatives; fn_weight above fp_weight favours recall.

    (0.5, 0.5) is Dice with twice the smoothing, (1, 1) is IoU.
    """

    formula = "1 - (TP + s) / (TP + fp_weight FP + fn_weight FN + s)"
    paper = "Salehi 2017, MLMI, arXiv 1706.05721"
    good_for = "recall or precision at a price that you set, as for lesions that must not be missed"
    bad_at = "Dice itself, once prices leave 0.5 (Eelbode 2020): mean rank 11.9 of 20, dice 6.4 (Ma 2021)"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        fp_weight: Annotated[Weight, "Price of false positives (the paper's alpha)."] = 0.3,
        fn_weight: Annotated[Weight, "Price of false negatives (the paper's beta)."] = 0.7,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.fp_weight, self.fn_weight = fp_weight, fn_weight

    def cost(self, counts: Counts) -> Tensor:
        """Salehi 2017."""
        return tversky_cost(counts, self.fp_weight, self.fn_weight, self.smooth)


@register_loss("focal_tversky")
class FocalTversky(RegionLoss):
    """Tversky to a power, for each class before the mean.

    The paper's exponent 0.75 (its 1/gamma) keeps pushing nearly solved classes; above 1 it turns to hard ones.
    """

    formula = "mean_c (1 - TI_c)^exponent, TI = (TP + s) / (TP + fp_weight FP + fn_weight FN + s)"
    paper = "Abraham & Khan 2019, ISBI, arXiv 1810.07842"
    good_for = "small lesions, recall first (breast ultrasound and skin in its paper)"
    bad_at = "mean Dice: mean rank 12.9 of 20, dice 6.4 (Ma 2021); patches without foreground"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        fp_weight: Annotated[Weight, "Price of false positives (the paper's beta)."] = 0.3,
        fn_weight: Annotated[Weight, "Price of false negatives (the paper's alpha)."] = 0.7,
        exponent: Annotated[Positive, "The paper's 1/gamma."] = 0.75,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.fp_weight, self.fn_weight, self.exponent = fp_weight, fn_weight, exponent

    def cost(self, counts: Counts) -> Tensor:
        """Abraham & Khan 2019, Eq. 4."""
        return bounded_power(tversky_cost(counts, self.fp_weight, self.fn_weight, self.smooth), self.exponent)


@register_loss("asymmetric_similarity")
class AsymmetricSimilarity(RegionLoss):
    """The F-beta score as a loss: Tversky with both prices from one number; beta 1 is Dice."""

    formula = "1 - (TP + s) / (TP + FP / (1 + beta^2) + FN beta^2 / (1 + beta^2) + s)"
    paper = "Hashemi 2018, IEEE Access, arXiv 1803.11078"
    good_for = "recall by one number that has a meaning, the beta of F-beta (MS lesions in its paper)"
    bad_at = "many organs at once: 9.2 points below dice at beta 1.5 (Ma 2021)"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        beta: Annotated[Positive, "Above 1 favours recall."] = 1.5,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.beta = beta

    def cost(self, counts: Counts) -> Tensor:
        """Hashemi 2018."""
        square = self.beta**2
        return tversky_cost(counts, 1 / (1 + square), square / (1 + square), self.smooth)


@register_loss("log_cosh_dice")
class LogCoshDice(RegionLoss):
    """Log cosh of the Dice cost, for each class before the mean: quadratic near 0, so slow at the end."""

    formula = "mean_c log cosh(1 - D_c)"
    paper = "Jadon 2020, CIBCB, arXiv 2006.14822"
    good_for = "a gradient that changes smoothly where little is wrong"
    bad_at = "the last percent: quadratic near 0, its gradient fades with the error"

    def cost(self, counts: Counts) -> Tensor:
        """Jadon 2020."""
        return dice_cost(counts, self.smooth).cosh().log()


@register_loss("mcc")
class MatthewsCorrelation(RegionLoss):
    """One minus the Matthews correlation coefficient: true negatives count, so both classes weigh alike; 0 to 2."""

    formula = "1 - (TP TN - FP FN) / (sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN)) + s)"
    paper = "Abhishek & Hamarneh 2021, ISBI, arXiv 2010.13454"
    good_for = "missed and invented voxels alike, true negatives included (skin lesions in its paper)"
    bad_at = "patches that hold only one of foreground and background, where no correlation is defined"

    def cost(self, counts: Counts) -> Tensor:
        """Abhishek & Hamarneh 2021, on rates: a product of four counts of voxels has more digits than float32."""
        voxels = counts.voxels.clamp_min(1)
        tp, fp, fn, tn = (n / voxels for n in (counts.tp, counts.fp, counts.fn, counts.tn))
        # The slope of a root is infinite at 0; below this no correlation is defined.
        square = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).clamp_min(1e-20)
        return 1 - (tp * tn - fp * fn) / (square.sqrt() + self.smooth / voxels**2)
