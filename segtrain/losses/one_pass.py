"""Every sum over voxels that a loss is made of, in one pass through memory, with a closed-form backward.

Asked for are soft counts [B, C] (hits, answers, truth) and sums of costs of the cross-entropy, split by class. All are
sums over voxels, so the gradient in a voxel's probabilities is affine in its truth g, and with S = sum_k p_k m_k:

    softmax   dx_c = p_c (m_c - S) + h (p_c - g_c)          m_c = d/d answers_c + g_c d/d hits_c
    sigmoid   dx_c = p_c (1 - p_c) m_c + h_c (p_c - g_c)    h = sum_j d/d cost_j slope_j(e)

Probabilities are written once, into the memory that becomes the gradient; all else is as small as a chunk, which stays
in the cache. So a loss needs little beside logits and gradient, where autograd keeps a volume for every operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.entropy import EntropyCost, PlainEntropy

CHUNK_VALUES = {"cpu": 1 << 18, "other": 1 << 24}
"""Values of a chunk (C times voxels). On a CPU four such arrays fit the cache; on a GPU launches shall be few."""

SMALLEST = 1e-30
"""Below this a float32 probability has lost digits or is 0; its logarithm is then taken from the logits."""


@dataclass(frozen=True, eq=False)
class Sums:
    """[B, C] each, over the voxels that count (times their weight)."""

    hits: Tensor
    """sum p g; zeros where no overlap was asked for."""
    answers: Tensor
    """sum p; likewise."""
    truth: Tensor
    """sum g; without gradient"""
    members: tuple[Tensor, ...]
    """For each cost: its sum over the voxels of the class."""
    others: tuple[Tensor, ...]
    """For each cost: its sum over the other voxels, under sigmoids; empty under softmax."""

    def of(self, places: Sequence[int]) -> Sums:
        """The same with some of the costs."""
        members = tuple(self.members[place] for place in places)
        others = tuple(self.others[place] for place in places) if self.others else ()
        return Sums(self.hits, self.answers, self.truth, members, others)


def softmax_sums(
    x: Tensor, classes: Tensor, weight: Tensor | None, costs: Sequence[EntropyCost], *, overlap: bool
) -> Sums:
    """Sums for logits x (B, C, N) and class indices (B, N) of any integer type; `weight` (B, N) is 0 where ignored."""
    hits, answers, truth, *found = _Softmax.apply(x, classes, weight, tuple(costs), overlap)
    return Sums(hits, answers, truth, tuple(found), ())


def sigmoid_sums(
    x: Tensor, truth: Tensor, weight: Tensor | None, costs: Sequence[EntropyCost], *, overlap: bool
) -> Sums:
    """Sums for logits x and memberships (B, C, N); `weight` (B, N) is 0 where ignored."""
    hits, answers, size, *found = _Sigmoid.apply(x, truth, weight, tuple(costs), overlap)
    return Sums(hits, answers, size, tuple(found[: len(costs)]), tuple(found[len(costs) :]))


@dataclass(frozen=True, eq=False)
class _Chunk:
    """A run of voxels of one sample."""

    sample: int
    place: slice
    g: Tensor
    """(C, n) truth in the dtype of the sums."""
    weight: Tensor | None
    """(n,)"""

    def of(self, array: Tensor) -> Tensor:
        """This part of an array (B, C, N): a view."""
        return array[self.sample, :, self.place]

    def total(self, values: Tensor) -> Tensor:
        """(C, n) -> (C,)."""
        return values.sum(1) if self.weight is None else values @ self.weight

    def by_class(self, values: Tensor) -> Tensor:
        """(n,) -> (C,): summed where a voxel belongs to the class."""
        return self.g @ (values if self.weight is None else values * self.weight)


class _Buffers:
    """Chunk-sized memory that is used again for every chunk."""

    def __init__(self, like: Tensor, count: int) -> None:
        _, outputs, voxels = like.shape
        values = CHUNK_VALUES.get(like.device.type, CHUNK_VALUES["other"])
        self.length = min(voxels, max(1024, values // outputs))
        self.arrays = [like.new_empty(outputs, self.length) for _ in range(count)]

    def cut(self, voxels: int) -> Iterator[tuple[slice, list[Tensor]]]:
        """Places of the chunks, and the buffers cut to each."""
        for start in range(0, voxels, self.length):
            place = slice(start, min(start + self.length, voxels))
            yield place, [array[:, : place.stop - place.start] for array in self.arrays]


class _Softmax(torch.autograd.Function):
    """Exclusive classes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, classes: Tensor, weight: Tensor | None, costs: tuple[EntropyCost, ...], overlap: bool
    ) -> tuple[Tensor, ...]:
        p = _softmax(x, weight)
        hits, answers, truth, *sums = (p.new_zeros(p.shape[:2]) for _ in range(3 + len(costs)))
        for chunk, (g, u) in _class_chunks(p, classes, weight, buffers=2):
            torch.mul(chunk.of(p), g, out=u)
            if overlap:
                hits[chunk.sample] += chunk.total(u)
                answers[chunk.sample] += chunk.total(chunk.of(p))
            truth[chunk.sample] += chunk.total(g)
            if costs:
                e = _entropy(u.sum(0), chunk, x)
                for total, cost in zip(sums, costs, strict=True):
                    total[chunk.sample] += chunk.by_class(cost.value(e))
        ctx.save_for_backward(x, classes, weight)
        ctx.p, ctx.costs, ctx.overlap = (p if ctx.needs_input_grad[0] else None), costs, overlap
        ctx.mark_non_differentiable(truth)
        return hits, answers, truth, *sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, classes, weight = ctx.saved_tensors
        p = _softmax(x, weight) if ctx.p is None else ctx.p
        ctx.p = None  # it becomes the gradient
        of_hits, of_answers, _, *of_costs = gradients
        for chunk, (g, m, u) in _class_chunks(p, classes, weight, buffers=3):
            here = chunk.of(p)
            h = _pull(ctx.costs, [of_cost[chunk.sample] for of_cost in of_costs], chunk, here, x)
            if ctx.overlap:
                torch.addcmul(of_answers[chunk.sample, :, None], g, of_hits[chunk.sample, :, None], out=m)
                s = torch.mul(m, here, out=u).sum(0)
                here.mul_(m.sub_(s if h is None else s.sub_(h)))
            elif h is not None:
                here.mul_(h)
            if h is not None:
                here.sub_(g.mul_(h))
            if chunk.weight is not None:
                here.mul_(chunk.weight)
        return p.to(x.dtype), None, None, None, None


class _Sigmoid(torch.autograd.Function):
    """Independent outputs."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, truth: Tensor, weight: Tensor | None, costs: tuple[EntropyCost, ...], overlap: bool
    ) -> tuple[Tensor, ...]:
        p = _sigmoid(x, weight)
        hits, answers, size, *sums = (p.new_zeros(p.shape[:2]) for _ in range(3 + 2 * len(costs)))
        for chunk, (_, u) in _member_chunks(p, truth, weight, buffers=2):
            if overlap:
                hits[chunk.sample] += chunk.total(torch.mul(chunk.of(p), chunk.g, out=u))
                answers[chunk.sample] += chunk.total(chunk.of(p))
            size[chunk.sample] += chunk.total(chunk.g)
            if costs:
                e = _binary_entropy(chunk, x, p.dtype)
                for place, cost in enumerate(costs):
                    value = cost.value(e)
                    inside = chunk.total(torch.mul(value, chunk.g, out=u))
                    sums[place][chunk.sample] += inside
                    sums[place + len(costs)][chunk.sample] += chunk.total(value) - inside
        ctx.save_for_backward(x, truth, weight)
        ctx.p, ctx.costs, ctx.overlap = (p if ctx.needs_input_grad[0] else None), costs, overlap
        ctx.mark_non_differentiable(size)
        return hits, answers, size, *sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, truth, weight = ctx.saved_tensors
        p = _sigmoid(x, weight) if ctx.p is None else ctx.p
        ctx.p = None  # it becomes the gradient
        of_hits, of_answers, _, *of_costs = gradients
        inside, outside = of_costs[: len(ctx.costs)], of_costs[len(ctx.costs) :]
        for chunk, (_, m, u) in _member_chunks(p, truth, weight, buffers=3):
            here = chunk.of(p)
            if ctx.overlap:
                torch.addcmul(of_answers[chunk.sample, :, None], chunk.g, of_hits[chunk.sample, :, None], out=m)
                m.mul_(torch.sub(1, here, out=u)).mul_(here)
            else:
                m.zero_()
            if ctx.costs:
                e = _binary_entropy(chunk, x, p.dtype)
                here.sub_(chunk.g)
                slopes = [
                    torch.lerp(out[chunk.sample, :, None], own[chunk.sample, :, None], chunk.g) * cost.slope(e)
                    for cost, own, out in zip(ctx.costs, inside, outside, strict=True)
                ]
                here.mul_(sum(slopes[1:], slopes[0])).add_(m)
            else:
                here.copy_(m)
            if chunk.weight is not None:
                here.mul_(chunk.weight)
        return p.to(x.dtype), None, None, None, None


def _sum_dtype(x: Tensor) -> torch.dtype:
    """At least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def _softmax(x: Tensor, weight: Tensor | None) -> Tensor:
    """(B, C, N), 0 where a voxel is ignored, whatever its logits."""
    p = torch.softmax(x.contiguous(), 1, dtype=_sum_dtype(x))
    return p if weight is None else p.masked_fill_((weight == 0).unsqueeze(1), 0)


def _sigmoid(x: Tensor, weight: Tensor | None) -> Tensor:
    p = x.contiguous().to(_sum_dtype(x), copy=True).sigmoid_()
    return p if weight is None else p.masked_fill_((weight == 0).unsqueeze(1), 0)


def _class_chunks(
    p: Tensor, classes: Tensor, weight: Tensor | None, buffers: int
) -> Iterator[tuple[_Chunk, list[Tensor]]]:
    """Chunks of all samples; the first buffer is their one-hot truth, the others are free."""
    memory = _Buffers(p, buffers)
    # Comparisons of equal floating types run four times as fast as those of integers that give booleans.
    labels = torch.arange(p.shape[1], device=p.device, dtype=p.dtype).unsqueeze(1)
    for sample in range(len(p)):
        for place, arrays in memory.cut(p.shape[2]):
            torch.eq(classes[sample, place].to(p.dtype), labels, out=arrays[0])
            yield _Chunk(sample, place, arrays[0], None if weight is None else weight[sample, place]), arrays


def _member_chunks(
    p: Tensor, truth: Tensor, weight: Tensor | None, buffers: int
) -> Iterator[tuple[_Chunk, list[Tensor]]]:
    """Chunks of all samples; the first buffer is their membership, the others are free."""
    memory = _Buffers(p, buffers)
    for sample in range(len(p)):
        for place, arrays in memory.cut(p.shape[2]):
            arrays[0].copy_(truth[sample, :, place])
            yield _Chunk(sample, place, arrays[0], None if weight is None else weight[sample, place]), arrays


def _entropy(p_true: Tensor, chunk: _Chunk, x: Tensor) -> Tensor:
    """-log of the true class' probability (n,); 0 where ignored."""
    if chunk.weight is not None:
        p_true = torch.where(chunk.weight == 0, 1.0, p_true)
    lost = p_true < SMALLEST
    # On a GPU a look at the values would make the step wait; the exact form is cheap there.
    if x.device.type == "cpu" and not bool(lost.any()):
        return p_true.log().neg_()
    here = chunk.of(x).to(p_true.dtype)
    if chunk.weight is not None:
        here = here.masked_fill(chunk.weight == 0, 0)
    exact = torch.logsumexp(here, 0) - (here * chunk.g).sum(0)
    return torch.where(lost, exact, -p_true.clamp_min(SMALLEST).log())


def _binary_entropy(chunk: _Chunk, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Cross-entropy of each sigmoid (C, n); 0 where ignored."""
    e = F.binary_cross_entropy_with_logits(chunk.of(x).to(dtype), chunk.g, reduction="none")
    return e if chunk.weight is None else e.masked_fill_(chunk.weight == 0, 0)


def _pull(
    costs: Sequence[EntropyCost], of_costs: Sequence[Tensor], chunk: _Chunk, p: Tensor, x: Tensor
) -> Tensor | None:
    """h (n,): what a unit of cross-entropy of each voxel adds to the loss; None without costs."""
    if not costs:
        return None
    e = None
    if any(not isinstance(cost, PlainEntropy) for cost in costs):
        e = _entropy((p * chunk.g).sum(0), chunk, x)
    h = p.new_zeros(p.shape[1])
    for cost, of_cost in zip(costs, of_costs, strict=True):
        own = of_cost @ chunk.g
        h += own if e is None else own * cost.slope(e)
    return h
