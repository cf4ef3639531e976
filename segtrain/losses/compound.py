"""Compound losses: an overlap term for the shape of the objects, a term for each voxel for a steady gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from torch import Tensor

from segtrain.losses.arithmetic import ratio
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.combine import Compound
from segtrain.losses.distribution import BinaryCrossEntropy, CrossEntropy, Focal, two_sided_mean
from segtrain.losses.entropy import PLAIN
from segtrain.losses.generalized import GeneralizedDice
from segtrain.losses.hard_voxels import TopKCrossEntropy
from segtrain.losses.lovasz import LovaszSoftmax
from segtrain.losses.options import Share
from segtrain.losses.outside import outside_sums
from segtrain.losses.region import Dice, IoU, OverlapLoss, Tversky, dice_cost
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels


@register_loss("dice_ce")
class DiceCE(Compound):
    """Dice of the foreground plus cross-entropy of all classes: nnU-Net's loss and the default here."""

    formula = "dice_weight dice + ce_weight ce"
    paper = "Isensee 2018, arXiv 1809.10486"
    good_for = "a first try at any task: nnU-Net's default, steady where dice alone is not"
    bad_at = "the last points on small lesions: mean rank 7.8, dice_topk 4.1 and dice_focal 5.4 (Ma 2021)"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"dice": Dice, "ce": CrossEntropy}


@register_loss("bce_dice", "dice_bce")
class BceDice(Compound):
    """Binary cross-entropy of each sigmoid plus its Dice."""

    formula = "bce_weight bce + dice_weight dice"
    paper = "Isensee 2018, arXiv 1809.10486 (for sigmoids)"
    good_for = "one structure, or structures that overlap: dice_ce for sigmoids"
    bad_at = "exclusive classes, as sigmoids may answer a voxel twice or not at all"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"bce": BinaryCrossEntropy, "dice": Dice}


@register_loss("dice_topk")
class DiceTopK(Compound):
    """Dice plus the mean of the hardest voxels' cross-entropy: best mean rank of the twenty losses in Ma 2021."""

    formula = "dice_weight dice + topk_ce_weight topk_ce"
    paper = "Ma 2021, Medical Image Analysis 71:102035"
    good_for = "most tasks: best mean rank of 20 (Ma 2021), best of 6 on liver tumours with a better trainer"
    bad_at = "noisy labels: wrong ones stay among the hardest voxels"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"dice": Dice, "topk_ce": TopKCrossEntropy}


@register_loss("dice_focal")
class DiceFocal(Compound):
    """Dice plus focal loss, weighted alike (AnatomyNet gives focal half the weight).

    The ranks below are those of alpha 0.5, which favours no class: `focal: {alpha: 0.5}`. The default is that of
    `focal`, 0.25.
    """

    formula = "dice_weight dice + focal_weight focal"
    paper = "Zhu 2018, AnatomyNet, arXiv 1808.05238"
    good_for = "imbalance with hard voxels: first on pancreas and organs, mean rank 5.4 of 20 (Ma 2021)"
    bad_at = "liver tumours with one trainer of two, 2.4 points below dice (Ma 2021); unsure answers"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"dice": Dice, "focal": Focal}


@register_loss("gdice_focal")
class GeneralizedDiceFocal(Compound):
    """Generalised Dice plus focal loss; unlike MONAI's, the focal part is a softmax where the Dice part is one."""

    formula = "generalized_dice_weight generalized_dice + focal_weight focal"
    paper = "MONAI, GeneralizedDiceFocalLoss"
    good_for = "classes of unequal size, with a gradient at every voxel where generalized_dice may have none"
    bad_at = "classes of a few voxels, whose weight drowns the others; no published ranking has it"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"generalized_dice": GeneralizedDice, "focal": Focal}


@register_loss("iou_ce")
class IoUCE(Compound):
    """IoU of the foreground plus cross-entropy of all classes."""

    formula = "iou_weight iou + ce_weight ce"
    good_for = "IoU as the goal, with the steady gradient of ce"
    bad_at = "what dice_ce cannot do: IoU and Dice put the answers for an object in the same order"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"iou": IoU, "ce": CrossEntropy}


@register_loss("tversky_ce")
class TverskyCE(Compound):
    """Tversky of the foreground plus cross-entropy of all classes: recall or precision, with a steady gradient."""

    formula = "tversky_weight tversky + ce_weight ce"
    good_for = "recall or precision with a steady gradient (retinal vessels in mmsegmentation's results)"
    bad_at = "Dice itself, once prices leave 0.5; two weights and two prices to tune"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"tversky": Tversky, "ce": CrossEntropy}


@register_loss("lovasz_ce")
class LovaszCE(Compound):
    """Lovász-softmax plus cross-entropy, which carries it through the first steps."""

    formula = "lovasz_softmax_weight lovasz_softmax + ce_weight ce"
    good_for = "IoU over several classes from scratch: ce carries the first steps"
    bad_at = "speed, as errors are sorted in every step; no published ranking of a right implementation"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"lovasz_softmax": LovaszSoftmax, "ce": CrossEntropy}


@register_loss("combo")
class Combo(OverlapLoss):
    """Cross-entropy with its own prices for missed and invented foreground, joined with Dice."""

    family = "compound"
    formula = "ce_share mean -[b g log p + (1 - b)(1 - g) log(1 - p)] + (1 - ce_share) dice, b = fn_weight"
    paper = "Taghanaki 2019, CMIG 75:24-33, arXiv 1805.02798"
    good_for = "own prices for missed and invented voxels beside dice (many organs in its paper)"
    bad_at = "comparison with published numbers, as much public code of it has a wrong sign or price"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        ce_share: Annotated[Share, "Share of the cross-entropy (the paper's alpha)."] = 0.5,
        fn_weight: Annotated[Share, "Above 0.5 a missed voxel costs more (the paper's beta)."] = 0.5,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.ce_share, self.fn_weight = ce_share, fn_weight

    def asked(self) -> Asked:
        """Counts for Dice, the cross-entropy of the true class."""
        return Asked((PLAIN,), overlap=True)

    def measure(self, voxels: Voxels) -> Tensor:
        """Taghanaki 2019, with 1 - Dice for its -Dice, so that the optimum is 0."""
        counts = self.counts(voxels)
        dice = self.class_mean(dice_cost(counts, self.smooth), counts, voxels)
        return self.ce_share * self._cross_entropy(voxels) + (1 - self.ce_share) * dice

    def _cross_entropy(self, voxels: Voxels) -> Tensor:
        """Mean over voxels and classes, each class against the rest."""
        own = self.weights_of(voxels)
        if voxels.mode != "multiclass":
            return two_sided_mean(voxels, own, self.fn_weight, 1 - self.fn_weight)
        missed, invented = voxels.sums(PLAIN).members[0], outside_sums(voxels.raw, voxels.given, voxels.weight)
        costs = self.fn_weight * missed + (1 - self.fn_weight) * invented
        counts = voxels.count.expand_as(costs)
        return ratio(*((part if own is None else part * own).sum() for part in (costs, counts)))
