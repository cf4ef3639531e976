"""Losses whose pull on a voxel stays bounded where its label may be wrong."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from segtrain.losses.arithmetic import exact, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.distribution import EntropyLoss
from segtrain.losses.entropy import EntropyCost, GeneralizedEntropy, SymmetricEntropy
from segtrain.losses.options import Positive, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

Exponent = Annotated[float, Field(gt=0, le=1)]
Negative = Annotated[float, Field(lt=0, allow_inf_nan=False)]


@register_loss("gce")
class GeneralizedCrossEntropy(EntropyLoss):
    """Between cross-entropy (q towards 0) and the mean absolute error of the truth's probability (q = 1)."""

    formula = "mean (1 - p_t^q) / q"
    paper = "Zhang & Sabuncu 2018, NeurIPS, arXiv 1805.07836"
    good_for = "labels that are wrong here and there: a voxel far from its label pulls less"
    bad_at = "hard voxels with a right label, such as small lesions, which it takes for noise at first"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        q: Annotated[Exponent, "The larger, the less a voxel pulls that is far from its label."] = 0.7,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.q = q

    def entropy_cost(self) -> EntropyCost:
        """Zhang & Sabuncu 2018, Eq. 6."""
        return GeneralizedEntropy(self.q)


@register_loss("sce")
class SymmetricCrossEntropy(EntropyLoss):
    """Cross-entropy plus the reverse one, in which answer and label change places and log 0 is a finite number.

    For labels of 0 and 1 the reverse cross-entropy is -log_zero (1 - p_t).
    """

    formula = "mean ce_weight (-log p_t) + rce_weight (-sum_c p_c log g_c), log 0 = log_zero"
    paper = "Wang Y. 2019, ICCV, arXiv 1908.06112"
    good_for = "noisy labels: its bounded reverse term outweighs the cross-entropy"
    bad_at = "imbalance, which it does not weigh; its two weights depend on the noise"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        ce_weight: Annotated[Weight, "Weight of the cross-entropy (the paper's alpha)."] = 0.1,
        rce_weight: Annotated[Weight, "Weight of the reverse cross-entropy (the paper's beta)."] = 1.0,
        log_zero: Annotated[Negative, "What log 0 stands for (the paper's A)."] = -4.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.ce_weight, self.rce_weight, self.log_zero = ce_weight, rce_weight, log_zero

    def entropy_cost(self) -> EntropyCost:
        """Wang 2019, Eq. 7."""
        return SymmetricEntropy(self.ce_weight, -self.log_zero * self.rce_weight)


@register_loss("t_loss")
class TLoss(Loss):
    """Negative log-likelihood of a sample's errors under a Student-t distribution of as many dimensions as voxels.

    The likelihood carries a constant that grows with the number of voxels: a perfect answer does not cost 0, and values
    of patches of different sizes cannot be compared. log nu is a parameter of the module: an optimiser that is given
    `loss.parameters()` learns it, as the paper does; otherwise, as in `segtrain fit`, it stays where it starts. The
    equation is from the design notes and the authors' code (with unit scale), not checked against the paper.
    """

    family = "distribution"
    formula = (
        "lgamma(nu / 2) - lgamma((nu + D) / 2) + D / 2 log(pi nu) + (nu + D) / 2 log(1 + |g - p|^2 / nu) for each "
        "sample of D voxels"
    )
    paper = "Gonzalez-Jimenez 2023, MICCAI, arXiv 2306.00753"
    good_for = "wrong labels of one structure, with nothing known of the noise (skin and lungs in its paper)"
    bad_at = "several classes; comparing values, which grow with the size of a patch"
    modes = ("binary",)
    optimum = None
    caution = "a fit keeps nu where it starts, where the paper learns it: set it to suit the noise"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        nu: Annotated[Positive, "Degrees of freedom at the start; the fewer, the less outliers pull."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.log_nu = nn.Parameter(torch.tensor(math.log(nu)))

    def measure(self, voxels: Voxels) -> Tensor:
        """Weights count as so many voxels."""
        weight = 1 if voxels.weight is None else voxels.weight.unsqueeze(1)
        squares = (voxels.probabilities - voxels.truth.to(voxels.dtype)) ** 2 * weight
        # Terms of the size of D almost cancel: in float32 not even the sign of the slope in nu would be left.
        kind = exact(voxels.raw)
        errors, size = squares.sum(-1, dtype=kind), voxels.count.to(kind)
        nu = self.log_nu.to(kind).exp()
        tail = (nu + size) / 2 * torch.log1p(errors / nu)
        constant = torch.lgamma(nu / 2) - torch.lgamma((nu + size) / 2) + size / 2 * (math.pi * nu).log()
        return weighted_mean(constant + tail, voxels.sample_weights(None)).to(voxels.dtype)
