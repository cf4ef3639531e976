"""Losses for tubes: is the centre line of each in the other, so that nothing is torn?

All score the foreground classes of exclusive ones, each against the rest. `iterations` should reach the radius of the
thickest tube, in voxels: what is thicker has no centre line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, final

import torch
from pydantic import Field
from torch import Tensor

from segtrain.losses.arithmetic import ratio
from segtrain.losses.asked import Asked
from segtrain.losses.base import ModeChoice
from segtrain.losses.options import SMOOTH, Share, Weight
from segtrain.losses.ranks import sum_over_ranks
from segtrain.losses.region import Dice, OverlapLoss
from segtrain.losses.registry import register_loss
from segtrain.losses.skeletons import hard_skeleton
from segtrain.losses.soft_skeleton import grown, soft_skeleton
from segtrain.losses.spatial import SpatialLoss, voxel_mean, voxel_sum
from segtrain.losses.voxels import Voxels

Iterations = Annotated[int, Field(ge=1)]


class TubeLoss(OverlapLoss):
    """A score of centre lines or tubes for each sample and class; overlap is counted only for `absent`."""

    family = "topology"

    @final
    def asked(self) -> Asked:
        """What a class costs that is absent."""
        return Asked(overlap=self.absent == "fp_only")


@register_loss("cldice")
class ClDice(TubeLoss):
    """Dice of centre lines: the harmonic mean of how much of the answer's lies in the truth, and the other way round.

    It says little of how thick a tube is.
    """

    formula = (
        "1 - 2 Tp Ts / (Tp + Ts), Tp = (sum sk(p) g + s) / (sum sk(p) + s), Ts = (sum sk(g) p + s) / (sum sk(g) + s)"
    )
    paper = "Shit 2021, CVPR, arXiv 2003.07311"
    good_for = "vessels that must stay connected, beside a region loss (Shit 2021)"
    bad_at = "use alone, as it leaves widths open; speed: +88 % time, +52 % memory in Kirchhoff 2024"
    caution = "alone it leaves the width of tubes open; add a region loss, as dice_cldice does"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        iterations: Annotated[Iterations, "Erosions on the way to the centre line: the largest radius in voxels."] = 3,
        smooth: Annotated[Weight, "Added to numerators and denominators, in voxels."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, smooth=smooth, **shared)
        self.iterations = iterations

    def measure(self, voxels: Voxels) -> Tensor:
        """Shit 2021, Eq. 1 and 2."""
        p, g = voxels.answer_and_truth(self.first(voxels))
        of_answer, of_truth = (centre_lines(values, self.iterations, voxels) for values in (p, g))
        parts = (of_answer * g, of_answer * (1 - g), of_truth * p, of_truth * (1 - p))
        inside, outside, found, missed = pooled_sums(parts, self, voxels)
        precision_error = ratio(outside, inside + outside + self.smooth)
        recall_error = ratio(missed, found + missed + self.smooth)
        return self.class_mean(harmonic_cost(precision_error, recall_error), self.sizes(voxels), voxels)


@register_loss("dice_cldice")
class DiceClDice(OverlapLoss):
    """Dice for the width of the tubes, centre-line Dice for their connection."""

    family = "topology"
    formula = "(1 - cldice_share) dice + cldice_share cldice"
    paper = "Shit 2021, CVPR, arXiv 2003.07311"
    good_for = "vessels of which connection and width both count"
    bad_at = "compact objects, whose centre line says little; tubes thicker than the iterations reach"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        cldice_share: Annotated[Share, "Share of the centre-line Dice (the paper's alpha)."] = 0.5,
        iterations: Annotated[Iterations, "Erosions on the way to the centre line: the largest radius in voxels."] = 3,
        smooth: Annotated[Weight, "Added to numerator and denominator of Dice, in voxels."] = SMOOTH,
        cldice_smooth: Annotated[Weight, "The same for the centre-line Dice."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, smooth=smooth, **shared)
        self.cldice_share = cldice_share
        self.dice = Dice(mode, smooth=smooth, **shared)
        self.cldice = ClDice(mode, iterations=iterations, smooth=cldice_smooth, **shared)

    def measure(self, voxels: Voxels) -> Tensor:
        """Shit 2021, Eq. 3."""
        dice, cldice = self.dice.measure(voxels), self.cldice.measure(voxels)
        return (1 - self.cldice_share) * dice + self.cldice_share * cldice


@register_loss("cl_ce")
class CentreLineCrossEntropy(SpatialLoss):
    """Cross-entropy on the centre lines of truth and answer: the second sum reaches tubes that should not be there.

    Its scale is the share of voxels on centre lines, so it is small beside a plain cross-entropy. The gradient also
    flows through the centre lines of the answer.
    """

    family = "topology"
    formula = "mean (ce sk(g)) + mean (ce sk(p)), for each foreground class"
    paper = "Acebes 2024, MICCAI"
    good_for = "vessels, with a cost for each voxel on both centre lines"
    bad_at = "widths, which it leaves open; balance, as it is small beside a plain ce"
    caution = "alone it leaves the width of tubes open; add a region loss, in a weighted_sum"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        iterations: Annotated[Iterations, "Erosions on the way to the centre line: the largest radius in voxels."] = 3,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.iterations = iterations

    def measure(self, voxels: Voxels) -> Tensor:
        """Acebes 2024, as in the authors' code."""
        lines = [centre_lines(values, self.iterations, voxels) for values in self.answer_and_truth(voxels)]
        entropy = voxels.cross_entropy
        entropy = entropy.unsqueeze(1) if voxels.mode == "multiclass" else entropy
        return self.class_mean(voxel_mean(entropy * (lines[0] + lines[1]), voxels), voxels)


@register_loss("skeleton_recall")
class SkeletonRecall(TubeLoss):
    """Recall of a tube around the skeleton of the truth; no skeleton of the answer, so it costs next to nothing.

    Recall alone is best at an answer that is all foreground: add it to dice_ce. Exclusive classes have one skeleton in
    common, as in the paper; of it, each class has what lies in it. Without a map of it, the skeleton is made on the CPU
    in every step.
    """

    formula = "1 - (sum_tube p + s) / (size of the tube + s), tube = skeleton of g, dilated `radius` times, within g"
    paper = "Kirchhoff 2024, ECCV, arXiv 2404.03010"
    good_for = "thin structures, several classes too, at almost no cost beside dice_ce (Kirchhoff 2024)"
    bad_at = "use alone: recall is best where everything is foreground"
    needs = ("skeleton",)
    caution = "recall alone is best where everything is foreground; add it to a region loss, in a weighted_sum"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        radius: Annotated[int, Field(ge=0), "How often the skeleton is dilated, by voxels that share a face."] = 2,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.radius = radius

    def measure(self, voxels: Voxels) -> Tensor:
        """Kirchhoff 2024, Eq. 2."""
        p, g = voxels.answer_and_truth(self.first(voxels))
        tube = grown(hard_skeleton(voxels, self.first(voxels)), self.radius).flatten(2) * g
        found, missed = pooled_sums((tube * p, tube * (1 - p)), self, voxels)
        return self.class_mean(ratio(missed, found + missed + self.smooth), self.sizes(voxels), voxels)


def centre_lines(values: Tensor, iterations: int, voxels: Voxels) -> Tensor:
    """Soft skeleton (B, C, N) of values (B, C, N) from 0 to 1."""
    outside = None if voxels.valid is None else ~voxels.valid.reshape(-1, *voxels.space)
    return soft_skeleton(voxels.in_space(values), iterations, outside).flatten(2)


def pooled_sums(parts: Iterable[Tensor], loss: OverlapLoss, voxels: Voxels) -> tuple[Tensor, ...]:
    """(B, C, N) -> sums of the shape of the loss's counts, of each part; the batch is that of all ranks."""
    sums = tuple(voxel_sum(part, voxels) for part in parts)
    if loss.reduce_over == "sample":
        return sums
    weights = loss.weights_of(voxels)
    if loss.reduce_over == "flat" and weights is not None:
        sums = tuple(part * weights[loss.first(voxels) :] for part in sums)
    axes = (0,) if loss.reduce_over == "batch" else (0, 1)
    return sum_over_ranks(*(part.sum(axes, keepdim=True) for part in sums))


def harmonic_cost(first_error: Tensor, second_error: Tensor) -> Tensor:
    """1 - the harmonic mean of 1 - each; keeps its digits near 0, and is 1 where both are 1."""
    first, second = 1 - first_error, 1 - second_error
    both = first + second
    return torch.where(both == 0, torch.ones_like(both), ratio(first_error * second + second_error * first, both))
