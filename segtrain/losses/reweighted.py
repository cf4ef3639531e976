"""Cross-entropy and focal loss whose voxels are weighed anew."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from segtrain.losses.arithmetic import LINEAR_BELOW, weighted_mean
from segtrain.losses.asked import Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.distribution import EntropyLoss
from segtrain.losses.entropy import EntropyCost, FocalEntropy, PolyEntropy, ReducedFocalEntropy, WrongEntropy
from segtrain.losses.options import Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

Threshold = Annotated[float, Field(gt=0, le=1)]
Epsilon = Annotated[float, Field(ge=-1, allow_inf_nan=False)]


@register_loss("normalized_focal")
class NormalizedFocal(Loss):
    """Focal loss over the sum of its factors, so that its gradient does not fade as a sample gets solved.

    As in the authors' code the sum belongs to a sample and has no gradient: with one, a voxel that is easier than the
    mean would be pushed away from its truth.
    """

    family = "distribution"
    formula = "sum_i (1 - p_t)^gamma (-log p_t) / sum_i (1 - p_t)^gamma for each sample, the divisor without gradient"
    paper = "Sofiiuk 2019, ICCV (AdaptIS), arXiv 1909.07829"
    good_for = "samples that are almost solved: its gradient does not fade as that of focal does"
    bad_at = "wrong labels: what is left wrong takes over ever more of the weight"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        gamma: Annotated[Weight, "How fast right voxels fade out; 0 is cross-entropy."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.gamma = gamma

    def asked(self) -> Asked:
        """The cost, and the factor that normalises it."""
        return Asked((FocalEntropy(self.gamma), WrongEntropy(self.gamma)))

    def measure(self, voxels: Voxels) -> Tensor:
        """Class weights weigh a voxel in both sums."""
        sums = voxels.sums(*self.asked().costs)
        costs, factors = sums.members
        if sums.others:
            costs, factors = costs + sums.others[0], factors + sums.others[1]
        weights = self.weights_of(voxels)
        if weights is not None:
            costs, factors = costs * weights, factors * weights
        divisor = factors.sum(1).detach().clamp_min(LINEAR_BELOW)
        return weighted_mean((costs.sum(1) / divisor).unsqueeze(1), voxels.sample_weights(None))


@register_loss("reduced_focal")
class ReducedFocal(EntropyLoss):
    """Focal loss that leaves voxels below the threshold at their full cross-entropy.

    The cost of a voxel jumps at the threshold unless that is 0.5.
    """

    formula = "mean f (-log p_t), f = 1 where p_t < threshold, else ((1 - p_t) / threshold)^gamma"
    paper = "Sergievskiy & Ponamarev 2019, arXiv 1903.01347"
    good_for = "imbalance where hard voxels must keep their full pull (satellite images in its paper)"
    bad_at = "thresholds other than 0.5, at which the cost of a voxel jumps; its paper has no medical scans"
    modes = ("binary", "multilabel")

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        threshold: Annotated[Threshold, "Probability of the truth from which on a voxel fades out."] = 0.5,
        gamma: Annotated[Weight, "How fast right voxels fade out."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.threshold, self.gamma = threshold, gamma

    def entropy_cost(self) -> EntropyCost:
        """Sergievskiy & Ponamarev 2019."""
        return ReducedFocalEntropy(self.gamma, self.threshold)


@register_loss("poly1_ce")
class Poly1CrossEntropy(EntropyLoss):
    """Cross-entropy with another weight for the first term of its expansion in 1 - p_t.

    The equation is from the design notes, not checked against the paper.
    """

    formula = "mean -log p_t + epsilon (1 - p_t)"
    paper = "Leng 2022, ICLR (PolyLoss), arXiv 2204.12511"
    good_for = "a bit more than ce with one number to tune (gains on natural images in its paper)"
    bad_at = "imbalance, as ce: every voxel has the same say; a large epsilon makes answers overconfident"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        epsilon: Annotated[Epsilon, "Added to the weight 1 of the first term; 0 is cross-entropy."] = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.epsilon = epsilon

    def entropy_cost(self) -> EntropyCost:
        """Leng 2022."""
        return PolyEntropy(0.0, self.epsilon)


@register_loss("poly1_focal")
class Poly1Focal(EntropyLoss):
    """Focal loss with another weight for the first term of its expansion in 1 - p_t.

    The equation is from the design notes, not checked against the paper.
    """

    formula = "mean (1 - p_t)^gamma (-log p_t) + epsilon (1 - p_t)^(gamma + 1)"
    paper = "Leng 2022, ICLR (PolyLoss), arXiv 2204.12511"
    good_for = "tuning focal by the weight of the first term of its expansion"
    bad_at = "small lesions when alone, as focal; which epsilon suits scans is not published"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        epsilon: Annotated[Epsilon, "Added to the weight 1 of the first term; 0 is the focal loss."] = 1.0,
        gamma: Annotated[Weight, "How fast right voxels fade out."] = 2.0,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.epsilon, self.gamma = epsilon, gamma

    def entropy_cost(self) -> EntropyCost:
        """Leng 2022."""
        return PolyEntropy(self.gamma, self.epsilon)
