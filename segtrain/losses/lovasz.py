"""Lovász losses: the Jaccard index of hard masks, continued to all error vectors by its convex closure.

Both take the errors in falling order and weigh each with what the Jaccard loss gains when that voxel becomes wrong too.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtrain.losses.arithmetic import beside, ratio, weighted_mean
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.memory import unfilled
from segtrain.losses.options import Index
from segtrain.losses.registry import register_loss
from segtrain.losses.voxels import Voxels

NEGLIGIBLE = 1e-6
"""Errors up to this are not sorted: the steps sum to 1 at most, so that all of them together cost no more than this.
One that is not a number is, as the largest of all."""

PART = 1 << 15
"""Voxels that are looked at together: their numbers stay in the cache."""

PLACE, HEAD = (0, 1) if sys.byteorder == "little" else (1, 0)
"""Which half of a 64-bit number is which."""

Numbers = NDArray[np.float32]
Flags = NDArray[np.bool_]


def lovasz_extension(errors: Tensor, members: Tensor) -> Tensor:
    """Berman 2018, Alg. 1: rows of errors (R, N) and truth (R, N) -> loss of each row (R,). Negative errors cost 0."""
    values: Tensor = _Lovasz.apply(errors, members)
    return values


class _Lovasz(torch.autograd.Function):
    """Linear in the errors once they are in order, so the steps of the Jaccard loss are the gradient."""

    @staticmethod
    def forward(ctx: Any, errors: Tensor, members: Tensor) -> Tensor:
        if errors.device.type == "cpu" and errors.dtype == torch.float32:
            filled = np.zeros(errors.shape, np.float32)
            rows = zip(errors.detach().numpy(), members.numpy(), filled, strict=True)
            with ThreadPoolExecutor(torch.get_num_threads()) as pool:
                values = errors.new_tensor(list(pool.map(lambda row: _fill_steps(*row), rows)))
            steps = torch.from_numpy(filled)
        else:
            ordered, order = errors.clamp_min(0).sort(dim=1, descending=True)
            sorted_steps = _jaccard_steps(members.gather(1, order)).to(errors.dtype)
            values = (ordered * sorted_steps).sum(1)
            steps = torch.zeros_like(errors).scatter_(1, order, sorted_steps * (ordered > 0))
        ctx.save_for_backward(steps)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_values: Tensor) -> tuple[Tensor, None]:
        (steps,) = ctx.saved_tensors
        return torch.mul(steps, of_values.unsqueeze(1), out=unfilled(steps.shape, steps.dtype, steps.device)), None


def _fill_steps(errors: Numbers, members: Flags, steps: Numbers) -> float:
    """The value of one row; writes the step of each voxel that can matter into `steps`, which is 0."""
    keys = _in_falling_order(errors, members)
    size = left = int(np.count_nonzero(members))
    value = 0.0
    for start in range(0, len(keys), PART):
        halves = keys[start : start + PART].view(np.uint32).reshape(-1, 2)
        heads = ~halves[:, HEAD]
        inside = (heads & np.uint32(1)).astype(np.bool_)
        found, left = _steps_in_order(inside, start, left)
        if not size:
            # Nothing there: the first voxel predicted already makes the Jaccard loss 1.
            found[:] = 0
            found[0] = start == 0
        steps[halves[:, PLACE]] = found
        value += float(np.dot((heads >> np.uint32(1)).view(np.float32), found))
    return value


def _in_falling_order(errors: Numbers, members: Flags) -> NDArray[np.uint64]:
    """Voxels whose error can matter, the largest first.

    Sorting numbers alone is eight times as fast as sorting them with their places, so a voxel becomes one number of two
    halves: the bits of its error (ordered as the error is, from 0 on) with its truth, inverted so that the largest
    error comes first, and its place.
    """
    keys = np.empty(len(errors), np.uint64)
    filled = 0
    for start in range(0, len(errors), PART):
        part = errors[start : start + PART]
        places = np.flatnonzero(~(part <= NEGLIGIBLE)).astype(np.uint32)
        halves = keys[filled : filled + len(places)].view(np.uint32).reshape(-1, 2)
        halves[:, HEAD] = ~((part.view(np.uint32)[places] << np.uint32(1)) | members[start : start + PART][places])
        halves[:, PLACE] = places + np.uint32(start)
        filled += len(places)
    found = keys[:filled]
    found.sort()
    return found


def _steps_in_order(inside: Flags, before: int, left: int) -> tuple[Numbers, int]:
    """Gain of the Jaccard loss at each voxel of a part of a row in order, as `_jaccard_steps` has it.

    `before` voxels came earlier, `left` members were still to come. The second number is those left after the part.
    """
    still = left - np.cumsum(inside, dtype=np.int32)
    union = (np.arange(before + 1, before + 1 + len(inside), dtype=np.int32) + still).astype(np.float32)
    np.maximum(union, 1, out=union)
    outside = still.astype(np.float32)
    outside /= np.maximum(union - 1, 1)
    outside[inside] = 1
    outside /= union
    return outside, int(still[-1])


def _jaccard_steps(members: Tensor) -> Tensor:
    """Gain of the Jaccard loss at each voxel of rows in order of error.

    Written out instead of as the difference of neighbouring Jaccard values, which agree in nearly all their digits:
    a member leaves the intersection (1 / U), another voxel enters the union (I / (U (U - 1))).
    """
    hits = members.to(torch.float64 if members.device.type == "cpu" else torch.float32)
    size = hits.sum(1, keepdim=True)
    left = size - hits.cumsum(1)
    union = size + (1 - hits).cumsum(1)
    steps = torch.where(members, 1 / union, left / (union * (union - 1)).clamp_min(1))
    # Nothing there: the first voxel predicted already makes the Jaccard loss 1.
    steps[:, 0] = torch.where(size[:, 0] > 0, steps[:, 0], torch.ones_like(steps[:, 0]))
    return steps


def _hard(voxels: Voxels) -> Tensor:
    """Truth (B, C, N) as booleans: the order of a set function knows no half members. False where nothing counts."""
    members = voxels.membership
    members = members if members.dtype == torch.bool else members > 0.5
    # Ignored voxels are no members yet.
    return members if voxels.weight is None or voxels.weight_map is None else members & (voxels.weight > 0).unsqueeze(1)


def _pooled(values: Tensor) -> Tensor:
    """(B, C, N) -> (1, C, B N)."""
    return values.transpose(0, 1).flatten(1).unsqueeze(0)


class LovaszLoss(Loss):
    """What the two share: rows of a sample and class, or of a class, and the mean over them.

    A set function knows of no weights: a voxel of a weight map counts where its weight is not 0, and its error is
    multiplied with its weight over the mean of those of its row.
    """

    family = "region"

    def __init__(self, mode: ModeChoice = "auto", /, *, per_image: bool, **shared: Any) -> None:
        super().__init__(mode, **shared)
        self.per_image = per_image

    def row_mean(self, errors: Tensor, voxels: Voxels, counted: Tensor | None) -> Tensor:
        """Mean of the rows of errors (B, C, N); `counted` (C,) bool, or (B, C) or (B, 1), leaves rows out."""
        if voxels.weight is not None:
            errors = errors.masked_fill((voxels.weight == 0).unsqueeze(1), 0)
            if voxels.weight_map is not None:
                errors = errors * self._relative(voxels.weight).unsqueeze(1)
        members = _hard(voxels)
        if not self.per_image:
            errors, members = _pooled(errors), _pooled(members)
        rows = lovasz_extension(errors.flatten(0, 1), members.flatten(0, 1)).view(members.shape[:2])
        own = self.weights_of(voxels)
        weights = own if counted is None else (counted if own is None else counted * own)
        return weighted_mean(rows, weights)

    def _relative(self, weight: Tensor) -> Tensor:
        """Weights (B, N) of which those above 0 have mean 1: in each sample, or in the batch."""
        axes = (1,) if self.per_image else (0, 1)
        return ratio(weight * (weight > 0).sum(axes, keepdim=True), weight.sum(axes, keepdim=True))


@register_loss("lovasz_hinge")
class LovaszHinge(LovaszLoss):
    """Lovász extension of the hinge error of each sigmoid's logit; no gradient once every margin is 1."""

    formula = "sum_i relu(e_(i)) step_i, e_i = 1 - x_i (2 g_i - 1) in falling order"
    paper = "Yu & Blaschko 2015, arXiv 1512.07797; Berman 2018, CVPR, arXiv 1705.08790"
    good_for = "IoU of one structure: a convex stand-in for it, in the logits"
    bad_at = "probabilities, as margins beyond 1 have no gradient; first steps without another loss"
    modes = ("binary", "multilabel")

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        per_image: Annotated[bool, "A value for each sample, then the mean; else over the whole batch."] = True,
        **shared: Any,
    ) -> None:
        super().__init__(mode, per_image=per_image, **shared)

    def measure(self, voxels: Voxels) -> Tensor:
        """Berman 2018, Eq. 8."""
        errors = 1 - voxels.logits * (2 * _hard(voxels).to(voxels.logits.dtype) - 1)
        return self.row_mean(errors, voxels, voxels.sample_weights(None) if self.per_image else None)


@register_loss("lovasz_softmax")
class LovaszSoftmax(LovaszLoss):
    """Lovász extension of the errors of the probabilities, averaged over the classes that are present."""

    formula = "mean_c sum_i e_(i) step_i, e_i = |g_c - p_c| in falling order"
    paper = "Berman 2018, CVPR, arXiv 1705.08790"
    good_for = "IoU over several classes; above any weighted ce in Dice (Eelbode 2020)"
    bad_at = "starting from scratch alone; calibration; speed, as errors are sorted in every step"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        classes: Annotated[
            Literal["present", "all"] | tuple[Index, ...],
            "Which classes enter the mean: those with a voxel in the truth, all, or a list of them.",
        ] = "present",
        per_image: Annotated[bool, "A value for each sample, then the mean; else over the whole batch."] = False,
        **shared: Any,
    ) -> None:
        super().__init__(mode, per_image=per_image, **shared)
        self.classes = classes

    def measure(self, voxels: Voxels) -> Tensor:
        """Berman 2018, Eq. 11."""
        errors = (voxels.degrees() - voxels.probabilities).abs()
        return self.row_mean(errors, voxels, self._counted(voxels))

    def _counted(self, voxels: Voxels) -> Tensor | None:
        if self.classes == "all":
            return None
        if self.classes == "present":
            present = _hard(voxels).any(-1)
            return present if self.per_image else present.any(0)
        if max(self.classes, default=0) >= voxels.outputs:
            raise ValueError(f"lovasz_softmax: classes {self.classes}, but there are {voxels.outputs} output channels")
        return beside(voxels.raw, [c in self.classes for c in range(voxels.outputs)], torch.bool)
