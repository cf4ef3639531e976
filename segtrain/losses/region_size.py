"""Cross-entropy plus a term for the sizes of the regions: what Dice adds to cross-entropy, said openly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from segtrain.losses.arithmetic import ratio, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.combine import Compound
from segtrain.losses.distribution import CrossEntropy
from segtrain.losses.options import Positive
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

PAPER = "Liu B. 2024, Medical Image Analysis, arXiv 2104.08717"


def shares(voxels: Voxels) -> tuple[Tensor, Tensor]:
    """Mean probability and mean truth of each sample and class [B, C]."""
    sums = voxels.sums(overlap=True)
    return ratio(sums.answers, voxels.count), ratio(sums.truth, voxels.count)


class SizeL1(Loss):
    """Mean absolute difference of answered and true size, as shares of the image."""

    def asked(self) -> Asked:
        """It is made of counts."""
        return Asked(overlap=True)

    def measure(self, voxels: Voxels) -> Tensor:
        """Liu 2024."""
        answers, truth = shares(voxels)
        return weighted_mean((answers - truth).abs(), voxels.sample_weights(self.weights_of(voxels)))


class SizeKL(Loss):
    """Divergence of the answered sizes from the true ones; class weights do not apply, as it would not stay above 0."""

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        smooth: Annotated[Positive, "Added to every share, so that an absent class has a logarithm."] = 1e-10,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.smooth = smooth

    def asked(self) -> Asked:
        """It is made of counts."""
        return Asked(overlap=True)

    def measure(self, voxels: Voxels) -> Tensor:
        """Liu 2024; of a sigmoid, over inside and outside."""
        answers, truth = shares(voxels)
        costs = self._divergence(answers, truth)
        if voxels.mode == "multiclass":
            costs = costs.sum(1, keepdim=True)
        else:
            costs = costs + self._divergence(1 - answers, 1 - truth)
        return weighted_mean(costs.clamp_min(0), voxels.sample_weights(None))

    def _divergence(self, answers: Tensor, truth: Tensor) -> Tensor:
        truth, answers = truth.clamp_min(0) + self.smooth, answers.clamp_min(0) + self.smooth
        return truth * torch.log(truth / answers)


@register_loss("ce_size_l1")
class CrossEntropySizeL1(Compound):
    """Cross-entropy plus the absolute errors of the sizes of all classes, in each image."""

    formula = "ce_weight ce + size_weight mean_c |mean p_c - mean g_c|"
    paper = PAPER
    good_for = "the sizes of regions without an overlap loss: ce that keeps up with dice in its paper"
    bad_at = "tiny objects, whose share of the image is next to nothing"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"ce": CrossEntropy, "size": SizeL1}


@register_loss("ce_size_kl")
class CrossEntropySizeKL(Compound):
    """Cross-entropy plus the Kullback-Leibler divergence of the sizes of all classes, in each image."""

    formula = "ce_weight ce + size_weight sum_c G_c log(G_c / P_c), G = mean g, P = mean p"
    paper = PAPER
    good_for = "small regions: a size that is too small counts by how many times it is"
    bad_at = "classes absent from an image, which have no part in the divergence"
    parts: ClassVar[Mapping[str, type[Loss]]] = {"ce": CrossEntropy, "size": SizeKL}
