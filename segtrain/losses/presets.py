"""The numbers of the blog post that segtrain starts from, listing by listing, right or wrong.

`post/<name>` is its PyTorch listing, `post-keras/<name>` its Keras listing (with the elementwise product it meant,
where it cannot run). All pool sums over batch and classes and answer one sigmoid an output. They exist so that a result
made with the post can be reproduced and held against the loss of the paper; none is ever a default. Cross-entropies
come from logits: equal to the listings up to |logit| 16, beyond which those lose their gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.arithmetic import weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.compound import BceDice
from segtrain.losses.distribution import BinaryCrossEntropy, Focal
from segtrain.losses.lovasz import LovaszHinge, LovaszSoftmax
from segtrain.losses.region import Dice, FocalTversky, IoU, Tversky
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Mode, Voxels

TORCH: Mapping[str, Any] = {"reduce_over": "flat", "smooth": 1.0}
KERAS: Mapping[str, Any] = {"reduce_over": "flat", "smooth": 1e-6}
EVEN: Mapping[str, Any] = {"fp_weight": 0.5, "fn_weight": 0.5}


class Preset(Loss):
    """A loss with every option fixed; `measured` is multiplied by `scale`."""

    family = "source post"
    paper = "the source post (compare with the entry of the same name without prefix)"
    modes: ClassVar[tuple[Mode, ...]] = ("binary", "multilabel")
    of: ClassVar[type[Loss]]
    fixed: ClassVar[Mapping[str, Any]] = {}
    scale: ClassVar[float] = 1.0
    caution = "it reproduces a listing of the source post, flaws included; to train, take the loss without prefix"

    def __init__(self, mode: ModeChoice = "auto", /) -> None:
        super().__init__(mode)
        self.loss = self.of(mode, **self.fixed)

    def asked(self) -> Asked:
        """What the loss inside asks for."""
        return self.loss.asked()

    def measure(self, voxels: Voxels) -> Tensor:
        """The value of the loss inside."""
        return self.scale * self.loss.measure(voxels)


@register_loss("post/dice")
class PostDice(Preset):
    """The post's PyTorch numbers for Dice: smooth 1, so a missed object of n voxels costs n / (n + 1) only."""

    formula = "1 - (2 TP + 1) / (2 TP + FP + FN + 1), pooled over batch and classes"
    good_for = "repeating the post's PyTorch Dice: dice with smooth 1, pooled over all"
    bad_at = "small objects: one of n voxels costs n / (n + 1) when missed, and less beside large ones"
    of, fixed = Dice, TORCH


@register_loss("post/bce_dice")
class PostBceDice(Preset):
    """The post's PyTorch numbers for BCE plus Dice (its code; the printed formula lacks the 1 -)."""

    formula = "mean bce + 1 - (2 TP + 1) / (2 TP + FP + FN + 1), pooled over batch and classes"
    good_for = "repeating the post's PyTorch BCE-Dice: bce_dice with smooth 1, pooled over all"
    bad_at = "small objects in a batch with large ones, as all share one Dice"
    of, fixed = BceDice, TORCH


@register_loss("post/iou")
class PostIoU(Preset):
    """The post's PyTorch numbers for IoU: smooth 1, pooled."""

    formula = "1 - (TP + 1) / (TP + FP + FN + 1), pooled over batch and classes"
    good_for = "repeating the post's PyTorch IoU: iou with smooth 1, pooled over all"
    bad_at = "missed objects of a few voxels, which smooth 1 forgives in part"
    of, fixed = IoU, TORCH


@register_loss("post/tversky")
class PostTversky(Preset):
    """The post's PyTorch numbers for Tversky: both weights 0.5, which makes it Dice with smooth 2."""

    formula = "1 - (TP + 1) / (TP + 0.5 FP + 0.5 FN + 1), pooled over batch and classes"
    good_for = "repeating the post's PyTorch Tversky: both prices 0.5, smooth 1, pooled over all"
    bad_at = "what tversky is for, as missed and invented voxels have one price: it is Dice with smooth 2"
    of, fixed = Tversky, {**TORCH, **EVEN}


@register_loss("post/focal_tversky")
class PostFocalTversky(Preset):
    """The post's PyTorch numbers for focal Tversky: exponent 2 where the paper has 0.75, so the opposite emphasis."""

    formula = "(1 - (TP + 1) / (TP + 0.5 FP + 0.5 FN + 1))^2, pooled over batch and classes"
    good_for = "repeating the post's PyTorch focal Tversky: both prices 0.5, exponent 2, smooth 1, pooled"
    bad_at = "nearly solved classes, whose gradient fades: the reverse of the paper's 0.75"
    of, fixed = FocalTversky, {**TORCH, **EVEN, "exponent": 2.0}


@register_loss("post/lovasz_hinge")
class PostLovaszHinge(Preset):
    """The post's numbers for the Lovász hinge: Berman's code, a value for each image."""

    formula = LovaszHinge.formula
    good_for = "repeating the post's Lovász hinge: lovasz_hinge with a value for each image"
    bad_at = "whatever lovasz_hinge is bad at"
    of, fixed = LovaszHinge, {"per_image": True}


@register_loss("post/lovasz_softmax")
class PostLovaszSoftmax(Preset):
    """The post's numbers for Lovász-Softmax: Berman's code, over the batch and the classes that are present."""

    formula = LovaszSoftmax.formula
    good_for = "repeating the post's Lovász-Softmax: lovasz_softmax, classes present, over the batch"
    bad_at = "whatever lovasz_softmax is bad at"
    modes = ("multiclass",)
    of, fixed = LovaszSoftmax, {"classes": "present", "per_image": False}


@register_loss("post/focal")
class PostFocal(Preset):
    """The post's PyTorch numbers for focal: the factor is taken of the mean, so no voxel is focused on at all."""

    formula = "0.8 (1 - exp(-m))^2 m, m = mean bce"
    good_for = "repeating the post's PyTorch focal: a function of the mean bce, alpha 0.8 for both classes"
    bad_at = "hard voxels: all have one factor, so it is bce with another step size"
    of = BinaryCrossEntropy

    def measure(self, voxels: Voxels) -> Tensor:
        """Alpha 0.8 on both classes, gamma 2, both of the mean."""
        mean = self.loss.measure(voxels)
        return 0.8 * (1 - torch.exp(-mean)) ** 2 * mean


@register_loss("post/combo")
class PostCombo(Preset):
    """The post's numbers for combo: negated, so that minimising it seeks the worst answer."""

    formula = "-(0.5 mean -0.5 [g log p + 0.5 (1 - g) log(1 - p)] - 0.5 (2 TP + 1) / (2 TP + FP + FN + 1)), pooled"
    good_for = "repeating the post's combo, and seeing what a wrong sign does"
    bad_at = "training: its minimum is the worst answer"
    optimum = None
    caution = "its sign is wrong, as in the source post: training seeks the worst answer; take combo"
    of, fixed = Dice, TORCH

    def measure(self, voxels: Voxels) -> Tensor:
        """`return -combo`, alpha before both terms."""
        g = voxels.degrees()
        # The listing's clamp of p at 1 - 1e-9 is none in float32 and ends in NaN; 1e-7 keeps the numbers finite.
        sides = (-g * F.logsigmoid(voxels.logits), -(1 - g) * F.logsigmoid(-voxels.logits))
        missed, invented = (side.clamp_max(-math.log(1e-7)) for side in sides)
        weight = None if voxels.weight is None else voxels.weight.unsqueeze(1)
        cross_entropy = 0.5 * weighted_mean(missed + 0.5 * invented, weight)
        dice = 1 - self.loss.measure(voxels)
        return -(0.5 * cross_entropy - 0.5 * dice)


@register_loss("post-keras/dice")
class PostKerasDice(Preset):
    """The post's Keras numbers for Dice: smooth 1e-6, pooled."""

    formula = "1 - (2 TP + 1e-6) / (2 TP + FP + FN + 1e-6), pooled over batch and classes"
    good_for = "repeating the post's Keras Dice: dice with smooth 1e-6, pooled over all"
    bad_at = "batches without foreground, which cost 1 whatever is answered and have no useful gradient"
    of, fixed = Dice, KERAS


@register_loss("post-keras/bce_dice")
class PostKerasBceDice(Preset):
    """The post's Keras numbers for BCE plus Dice: smooth 1e-6, pooled."""

    formula = "mean bce + 1 - (2 TP + 1e-6) / (2 TP + FP + FN + 1e-6), pooled over batch and classes"
    good_for = "repeating the post's Keras BCE-Dice: bce_dice with smooth 1e-6, pooled over all"
    bad_at = "single scans, as Dice is that of the batch"
    of, fixed = BceDice, KERAS


@register_loss("post-keras/iou")
class PostKerasIoU(Preset):
    """The post's Keras numbers for IoU: smooth 1e-6, pooled."""

    formula = "1 - (TP + 1e-6) / (TP + FP + FN + 1e-6), pooled over batch and classes"
    good_for = "repeating the post's Keras IoU: iou with smooth 1e-6, pooled over all"
    bad_at = "batches without foreground, and a small object beside large ones"
    of, fixed = IoU, KERAS


@register_loss("post-keras/focal")
class PostKerasFocal(Preset):
    """The post's Keras numbers for focal: for each voxel, unlike its PyTorch twin, with 0.8 on both classes."""

    formula = "0.8 mean (1 - p_t)^2 (-log p_t)"
    good_for = "repeating the post's Keras focal: voxel by voxel, gamma 2, alpha 0.8 for both classes"
    bad_at = "imbalance of the classes: 0.8 on both sides favours none"
    of, fixed, scale = Focal, {"gamma": 2.0, "alpha": None}, 0.8


@register_loss("post-keras/tversky")
class PostKerasTversky(Preset):
    """The post's Keras numbers for Tversky: both weights 0.5, smooth 1e-6, pooled."""

    formula = "1 - (TP + 1e-6) / (TP + 0.5 FP + 0.5 FN + 1e-6), pooled over batch and classes"
    good_for = "repeating the post's Keras Tversky: both prices 0.5, smooth 1e-6, pooled over all"
    bad_at = "recall or precision: with both prices 0.5 it favours none"
    of, fixed = Tversky, {**KERAS, **EVEN}


@register_loss("post-keras/focal_tversky")
class PostKerasFocalTversky(Preset):
    """The post's Keras numbers for focal Tversky: both weights 0.5, exponent 2, smooth 1e-6, pooled."""

    formula = "(1 - (TP + 1e-6) / (TP + 0.5 FP + 0.5 FN + 1e-6))^2, pooled over batch and classes"
    good_for = "repeating the post's Keras focal Tversky: both prices 0.5, exponent 2, smooth 1e-6"
    bad_at = "the end of training, as exponent 2 fades out what is nearly right"
    of, fixed = FocalTversky, {**KERAS, **EVEN, "exponent": 2.0}
