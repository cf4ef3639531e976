"""For data in which some classes are not marked and lie hidden in the background."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from segtrain.losses.arithmetic import beside, ratio, weighted_mean
from segtrain.losses.asked import NOTHING, Asked
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.confusion import confusion
from segtrain.losses.distribution import entropy_mean
from segtrain.losses.entropy import PLAIN
from segtrain.losses.options import SMOOTH, Weight
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

Foreground = Annotated[int, Field(ge=1)]


@register_loss("marginal_ce")
class MarginalCrossEntropy(Loss):
    """Cross-entropy in which classes that nobody marked are one with the background.

    A voxel that is marked as background may then be answered with any of them. Without such classes it is `ce`. The
    equation is from the design notes, not checked against the paper.
    """

    family = "distribution"
    formula = "mean -log q_y, q_0 = p_0 + sum of p_c over unlabelled c, q_c = p_c else"
    paper = "Shi G. 2021, Medical Image Analysis, arXiv 2007.03868"
    good_for = "data of which some cases mark only a part of the organs"
    bad_at = "fully marked data, where it is ce; imbalance, as ce"
    modes = ("multiclass",)

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        unlabelled: Annotated[tuple[Foreground, ...], "Classes that are not marked in this data."] = (),
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.unlabelled = tuple(sorted(set(unlabelled)))

    def asked(self) -> Asked:
        """The cross-entropy itself, where nothing is merged."""
        return NOTHING if self.unlabelled else Asked((PLAIN,))

    def measure(self, voxels: Voxels) -> Tensor:
        """Shi 2021; an unlabelled class that is marked all the same counts as background."""
        weights = self.weights_of(voxels)
        if not self.unlabelled:
            return entropy_mean(voxels, PLAIN, weights)
        if self.unlabelled[-1] >= voxels.outputs:
            raise ValueError(f"unlabelled names class {self.unlabelled[-1]}, but there are {voxels.outputs} channels")
        merged = beside(voxels.raw, [0, *self.unlabelled], torch.int64)
        background = -voxels.log_probabilities.index_select(1, merged).logsumexp(1)
        is_background = (voxels.truth.unsqueeze(1) == merged.view(1, -1, 1)).any(1)
        return weighted_mean(torch.where(is_background, background, voxels.cross_entropy), voxels.weights(weights))


@register_loss("exclusion")
class Exclusion(Loss):
    """Dice between the answer of a class and the voxels that are marked as another structure, to be made small.

    It says that structures exclude each other, which holds where some of them are not marked. Alone it is content with
    background everywhere. The equation is from the design notes, not checked against the paper.
    """

    family = "distribution"
    formula = (
        "mean_c 2 sum p_c e_c / (sum p_c + sum e_c + s), e_c = 1 in voxels marked as a foreground class other than c"
    )
    paper = "Shi G. 2021, Medical Image Analysis, arXiv 2007.03868"
    good_for = "partly marked data beside marginal_ce: structures must not overlap"
    bad_at = "use alone, as background everywhere costs nothing"
    modes = ("multiclass",)
    caution = "it only forbids overlaps and finds no structure: add a loss such as marginal_ce"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        include_background: Annotated[bool, "Forbid class 0 too in voxels that are marked as foreground."] = False,
        smooth: Annotated[Weight, "Added to the denominator, in voxels."] = SMOOTH,
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.include_background = include_background
        self.smooth = smooth

    def measure(self, voxels: Voxels) -> Tensor:
        """Mean over samples and classes."""
        shares = confusion(voxels)
        first = 0 if self.include_background else 1
        forbidden = 1 - torch.eye(voxels.outputs, dtype=voxels.dtype, device=voxels.raw.device)
        forbidden[0] = 0
        hits = (shares * forbidden).sum(1)[:, first:]
        answers, excluded = shares.sum(1)[:, first:], (shares.detach().sum(2) @ forbidden)[:, first:]
        weights = self.weights_of(voxels)
        weights = voxels.sample_weights(None if weights is None else weights[first:])
        return weighted_mean(ratio(2 * hits, answers + excluded + self.smooth), weights)
