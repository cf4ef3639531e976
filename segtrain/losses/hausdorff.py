"""Losses that bound the Hausdorff distance: errors weighted by how far they lie from a border.

d is the distance to the border, on both of its sides. A truth or answer without foreground has no border: d is 0; one
without background ends at the edge of the patch, so that such an answer still costs something and is corrected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from segtrain.losses.arithmetic import ratio
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.combine import Compound
from segtrain.losses.maps import squared_distances, squared_distances_of
from segtrain.losses.options import Positive
from segtrain.losses.region import Dice
from segtrain.losses.registry import register_loss
from segtrain.losses.spatial import DistanceLoss, SpatialLoss, voxel_mean
from segtrain.losses.voxels import Voxels

Erosions = Annotated[int, Field(ge=1)]

KARIMI = "Karimi & Salcudean 2019, IEEE TMI 39(2), arXiv 1904.10030"


class HausdorffLoss(DistanceLoss):
    """A mean squared error weighted by distance to the power of alpha."""

    paper = KARIMI

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        alpha: Annotated[Positive, "Power of the distance: how much more far errors cost."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.alpha = alpha

    def two_sided(self, voxels: Voxels) -> Tensor:
        """Karimi & Salcudean 2019, Eq. 8."""
        answers = voxels.probabilities[:, self.first(voxels) :].detach() > 0.5
        if voxels.valid is not None:
            answers = answers & voxels.valid.unsqueeze(1)
        d_p = squared_distances_of(answers, voxels, self.spacing(voxels))
        return self.weighted_error(voxels, self._power(d_p) + self._from_truth(voxels))

    def one_sided(self, voxels: Voxels) -> Tensor:
        """Karimi & Salcudean 2019, Eq. 9."""
        return self.weighted_error(voxels, self._from_truth(voxels))

    def weighted_error(self, voxels: Voxels, weights: Tensor) -> Tensor:
        """Mean of (p - g)^2 times weights (B, C, N)."""
        p, g = self.answer_and_truth(voxels)
        return self.class_mean(voxel_mean((p - g).square() * weights, voxels), voxels)

    def _from_truth(self, voxels: Voxels) -> Tensor:
        return self._power(squared_distances(voxels, self.first(voxels), self.spacing(voxels)))

    def _power(self, squared: Tensor) -> Tensor:
        return squared if self.alpha == 2 else squared ** (self.alpha / 2)


@register_loss("hausdorff_dt")
class HausdorffDT(HausdorffLoss):
    """Squared errors, weighted by their distance to the borders of the truth and of the answer.

    The answer's distances are made anew in each step, on the CPU: `hausdorff_one_sided` does without.
    """

    formula = "mean (p - g)^2 (d_p^alpha + d_g^alpha), d_p of p > 0.5"
    good_for = "far outliers: Hausdorff distance down by 18 to 45 % at equal Dice (Karimi 2019)"
    bad_at = "speed: distances of the answer in every step, on the CPU; the start of training when alone"

    def measure(self, voxels: Voxels) -> Tensor:
        """Karimi & Salcudean 2019, Eq. 8."""
        return self.two_sided(voxels)


@register_loss("log_hausdorff_dt")
class LogHausdorffDT(HausdorffLoss):
    """Logarithm of `hausdorff_dt`: a step of a large value is not larger than one of a small value."""

    formula = "log(1 + hausdorff_dt)"
    paper = f"{KARIMI}, in the form of MONAI"
    good_for = "far outliers beside other losses, which large first values do not drown"
    bad_at = "speed, as hausdorff_dt; pull, which falls as the value rises"

    def measure(self, voxels: Voxels) -> Tensor:
        """The logarithm of the mean."""
        return self.two_sided(voxels).log1p()


@register_loss("hausdorff_one_sided")
class HausdorffOneSided(HausdorffLoss):
    """Squared errors, weighted by their distance to the border of the truth, which never changes."""

    formula = "mean (p - g)^2 d_g^alpha"
    good_for = "far false positives for the price of one map of the truth that never changes"
    bad_at = "missed small objects, whose own border is near: only distances of the answer would show them"

    def measure(self, voxels: Voxels) -> Tensor:
        """Karimi & Salcudean 2019, Eq. 9."""
        return self.one_sided(voxels)


@register_loss("hausdorff_er")
class HausdorffErosion(SpatialLoss):
    """Errors that are left after k erosions cost k^alpha more: the thicker, the more.

    Errors a voxel thin, or of less than a half, have neither cost nor gradient. What is left of an error is stretched
    to 1 again, so that one of two by two voxels is never worn away.
    """

    formula = "sum_k mean e_k k^alpha, e_k: (p - g)^2 after k erosions (mean over a cross, less 0.5, scaled to 0..1)"
    paper = KARIMI
    good_for = "thick errors, without any distance transform"
    bad_at = "thin errors and undecided answers (p = 0.5), which have no gradient"
    caution = "an undecided answer (p = 0.5) has no gradient; add a region or distribution loss"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        alpha: Annotated[Positive, "Power of the number of erosions."] = 2.0,
        erosions: Annotated[Erosions, "How many: thicker errors cost the same."] = 10,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.alpha, self.erosions = alpha, erosions

    def measure(self, voxels: Voxels) -> Tensor:
        """Karimi & Salcudean 2019, Eq. 11."""
        p, g = self.answer_and_truth(voxels)
        hidden = None if voxels.valid is None else ~voxels.in_space(voxels.valid.unsqueeze(1))
        errors = _without(hidden, voxels.in_space((p - g).square()))
        cost = torch.zeros_like(errors)
        for k in range(1, self.erosions + 1):
            errors = _without(hidden, _eroded(errors))
            cost = cost + errors * k**self.alpha
        return self.class_mean(voxel_mean(cost.flatten(2), voxels), voxels)


def _without(hidden: Tensor | None, errors: Tensor) -> Tensor:
    return errors if hidden is None else errors.masked_fill(hidden, 0)


def _eroded(errors: Tensor) -> Tensor:
    """(B, C, *S): mean of each voxel and its neighbours, less a half, stretched to 0..1 in each sample and class."""
    total, cross = errors, 1
    for axis in range(2, errors.ndim):
        if errors.shape[axis] > 1:
            total, cross = total + _neighbours(errors, axis), cross + 2
    kept = (total / cross - 0.5).clamp_min(0)
    space = tuple(range(2, errors.ndim))
    low = kept.amin(space, keepdim=True)
    return ratio(kept - low, kept.amax(space, keepdim=True) - low)


def _neighbours(values: Tensor, axis: int) -> Tensor:
    """Sum of the two neighbours along an axis; 0 beyond the edge."""
    size = values.shape[axis]
    edge = torch.zeros_like(values.narrow(axis, 0, 1))
    before = torch.cat([edge, values.narrow(axis, 0, size - 1)], axis)
    return before + torch.cat([values.narrow(axis, 1, size - 1), edge], axis)


@register_loss("dice_hausdorff")
class DiceHausdorff(Compound):
    """Dice plus `hausdorff_dt`, where Dice is scaled in each step to the value of the other, so that both pull alike.

    The scale has no gradient, so the value is not what the gradient belongs to.
    """

    formula = "dice_weight lambda dice + hausdorff_dt_weight hausdorff_dt, lambda = hausdorff_dt / dice, detached"
    paper = f"{KARIMI}; Ma 2021, Medical Image Analysis 71:102035"
    good_for = "far outliers at a high Dice: first on liver tumours, mean rank 4.8 of 20 (Ma 2021)"
    bad_at = "speed, as hausdorff_dt; reading its value, to which the gradient does not belong"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"dice": Dice, "hausdorff_dt": HausdorffDT}

    def measure(self, voxels: Voxels) -> Tensor:
        """Ma 2021, with Dice as a cost: its negative would turn the sign of lambda."""
        dice, hausdorff = (self.term(name).measure(voxels) for name in self.parts)
        scale = ratio(hausdorff.detach(), dice.detach())
        return self.weights["dice"] * scale * dice + self.weights["hausdorff_dt"] * hausdorff
