"""Every sum over voxels that a loss is made of, in one pass through memory, with a closed-form backward.

Asked for are soft counts [B, C] (hits, answers, truth) and sums of costs of the cross-entropy, split by class. All are
sums over voxels, so the gradient in a voxel's probabilities is affine in its truth g, and with S = sum_k p_k m_k:

    softmax   dx_c = p_c (m_c - S) + h (p_c - g_c)          m_c = d/d answers_c + g_c d/d hits_c
    sigmoid   dx_c = p_c (1 - p_c) m_c + h_c (p_c - g_c)    h = sum_j d/d cost_j slope_j(e)

Probabilities are written into the memory that becomes the gradient; all else is as small as a chunk, which stays in the
cache. So a loss needs little beside logits and gradient, where autograd keeps a volume for every operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.chunks import Chunk, class_chunks, member_chunks, sum_dtype
from segtrain.losses.entropy import Certainty, EntropyCost, PlainEntropy
from segtrain.losses.memory import unfilled

SMALLEST = 1e-30
"""Below this a float32 probability has lost digits or is 0; its logarithm is then taken from the logits."""

SAFE_TOTAL = 1e-10, 1e30
"""Sums of exponentials between these lose no digit of a probability that float32 can hold above `SMALLEST`."""


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
    hits, answers, truth, *found = _Softmax.apply(_followed(x), classes, weight, tuple(costs), overlap)
    return Sums(hits, answers, truth, tuple(found), ())


def sigmoid_sums(
    x: Tensor, truth: Tensor, weight: Tensor | None, costs: Sequence[EntropyCost], *, overlap: bool
) -> Sums:
    """Sums for logits x and memberships (B, C, N); `weight` (B, N) is 0 where ignored."""
    hits, answers, size, *found = _Sigmoid.apply(_followed(x), truth, weight, tuple(costs), overlap)
    return Sums(hits, answers, size, tuple(found[: len(costs)]), tuple(found[len(costs) :]))


def _followed(x: Tensor) -> Tensor:
    """A function is told whether its input requires a gradient, but not that nobody will ask for it."""
    return x if torch.is_grad_enabled() else x.detach()


class _Softmax(torch.autograd.Function):
    """Exclusive classes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, classes: Tensor, weight: Tensor | None, costs: tuple[EntropyCost, ...], overlap: bool
    ) -> tuple[Tensor, ...]:
        kept = _kept(ctx, x)
        hits, answers, truth, *sums = (x.new_zeros(x.shape[:2], dtype=sum_dtype(x)) for _ in range(3 + len(costs)))
        for chunk, (g, u) in class_chunks(x, classes, weight, kept, buffers=2):
            p = _softmax(x, chunk)
            torch.mul(p, g, out=u)
            if overlap:
                hits[chunk.sample] += chunk.total(u)
                answers[chunk.sample] += chunk.total(p)
            truth[chunk.sample] += chunk.total(g)
            if costs:
                certainty = _certainty(u.sum(0), chunk, x)
                for total, cost in zip(sums, costs, strict=True):
                    total[chunk.sample] += chunk.by_class(cost.value(certainty))
        ctx.save_for_backward(x, classes, weight)
        ctx.p, ctx.costs, ctx.overlap = kept, costs, overlap
        ctx.mark_non_differentiable(truth)
        return hits, answers, truth, *sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, classes, weight = ctx.saved_tensors
        kept, ctx.p = ctx.p, None
        dx = kept if kept is not None and kept.dtype == x.dtype else unfilled(x.shape, x.dtype, x.device)
        of_hits, of_answers, _, *of_costs = gradients
        for chunk, (g, u) in class_chunks(x, classes, weight, kept, buffers=2):
            here = _softmax(x, chunk) if kept is None else chunk.p
            torch.mul(here, g, out=u)
            h = _pull(ctx.costs, [of_cost[chunk.sample] for of_cost in of_costs], chunk, u, x)
            if ctx.overlap:
                # Regrouped: dx_c = p_c (a_c - (S - h)) + g_c (p_t b_t - h), with a, b = d/d answers, d/d hits.
                own = u.t() @ of_hits[chunk.sample]
                rest = (here.t() @ of_answers[chunk.sample]).add_(own)
                if h is not None:
                    rest.sub_(h)
                    own.sub_(h)
                here.mul_(torch.sub(of_answers[chunk.sample, :, None], rest, out=u)).addcmul_(g, own)
            elif h is not None:
                here.sub_(g).mul_(h)
            if chunk.weight is not None:
                here.mul_(chunk.weight)
            if dx is not kept:
                chunk.of(dx).copy_(here)
        return dx, None, None, None, None


class _Sigmoid(torch.autograd.Function):
    """Independent outputs."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, truth: Tensor, weight: Tensor | None, costs: tuple[EntropyCost, ...], overlap: bool
    ) -> tuple[Tensor, ...]:
        kept = _kept(ctx, x)
        hits, answers, size, *sums = (x.new_zeros(x.shape[:2], dtype=sum_dtype(x)) for _ in range(3 + 2 * len(costs)))
        for chunk, (g, u) in member_chunks(x, truth, weight, kept, buffers=2):
            p = _sigmoid(x, chunk)
            if overlap:
                hits[chunk.sample] += chunk.total(torch.mul(p, g, out=u))
                answers[chunk.sample] += chunk.total(p)
            size[chunk.sample] += chunk.total(g)
            if costs:
                certainty = _binary_certainty(chunk, x)
                for place, cost in enumerate(costs):
                    value = cost.value(certainty)
                    inside = chunk.total(torch.mul(value, g, out=u))
                    sums[place][chunk.sample] += inside
                    sums[place + len(costs)][chunk.sample] += chunk.total(value) - inside
        ctx.save_for_backward(x, truth, weight)
        ctx.p, ctx.costs, ctx.overlap = kept, costs, overlap
        ctx.mark_non_differentiable(size)
        return hits, answers, size, *sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, truth, weight = ctx.saved_tensors
        kept, ctx.p = ctx.p, None
        dx = kept if kept is not None and kept.dtype == x.dtype else unfilled(x.shape, x.dtype, x.device)
        of_hits, of_answers, _, *of_costs = gradients
        inside, outside = of_costs[: len(ctx.costs)], of_costs[len(ctx.costs) :]
        for chunk, (g, m, u) in member_chunks(x, truth, weight, kept, buffers=3):
            here = _sigmoid(x, chunk) if kept is None else chunk.p
            if ctx.overlap:
                torch.mul(g, of_hits[chunk.sample, :, None], out=m).add_(of_answers[chunk.sample, :, None])
                m.mul_(torch.sub(1, here, out=u)).mul_(here)
            else:
                m.zero_()
            if ctx.costs:
                certainty = _binary_certainty(chunk, x)
                slopes = [
                    torch.lerp(out[chunk.sample, :, None], own[chunk.sample, :, None], g) * cost.slope(certainty)
                    for cost, own, out in zip(ctx.costs, inside, outside, strict=True)
                ]
                here.sub_(g).mul_(sum(slopes[1:], slopes[0])).add_(m)
            else:
                here.copy_(m)
            if chunk.weight is not None:
                here.mul_(chunk.weight)
            if dx is not kept:
                chunk.of(dx).copy_(here)
        return dx, None, None, None, None


def _kept(ctx: Any, x: Tensor) -> Tensor | None:
    """Memory for all probabilities, where a gradient will be asked for."""
    return unfilled(x.shape, sum_dtype(x), x.device) if ctx.needs_input_grad[0] else None


def _softmax(x: Tensor, chunk: Chunk) -> Tensor:
    """Probabilities (C, n) of a chunk, in its memory."""
    if x.device.type == "cpu":
        # The search for the largest logit, which only far-off logits need, would double the time of the exponentials.
        total = torch.exp(chunk.logits(x).to(chunk.p.dtype), out=chunk.p).sum(0)
        low, high = total.aminmax()
        if low > SAFE_TOTAL[0] and high < SAFE_TOTAL[1]:
            return chunk.p.mul_(total.reciprocal_())
    return chunk.p.copy_(torch.softmax(chunk.logits(x), 0, dtype=chunk.p.dtype))


def _sigmoid(x: Tensor, chunk: Chunk) -> Tensor:
    """Probabilities (C, n) of a chunk, in its memory."""
    return chunk.p.copy_(chunk.logits(x)).sigmoid_()


def _certainty(p_true: Tensor, chunk: Chunk, x: Tensor) -> Certainty:
    """Of the true class (n,); full where ignored."""
    if chunk.weight is not None:
        p_true = torch.where(chunk.weight == 0, 1.0, p_true)
    # On a GPU a look at the values would make the step wait; the exact form is cheap there.
    if x.device.type == "cpu" and bool(p_true.amin() >= SMALLEST):
        return Certainty(p_true.log().neg_(), p_true, 1 - p_true)
    here = chunk.logits(x).to(p_true.dtype)
    exact = torch.logsumexp(here, 0) - (here * chunk.g).sum(0)
    entropy = torch.where(p_true < SMALLEST, exact, -p_true.clamp_min(SMALLEST).log())
    return Certainty(entropy, p_true, 1 - p_true)


def _binary_certainty(chunk: Chunk, x: Tensor) -> Certainty:
    """Of each sigmoid (C, n); full where ignored."""
    e = F.binary_cross_entropy_with_logits(chunk.of(x).to(chunk.g.dtype), chunk.g, reduction="none")
    return Certainty.of(e if chunk.weight is None else e.masked_fill_(chunk.weight == 0, 0))


def _pull(
    costs: Sequence[EntropyCost], of_costs: Sequence[Tensor], chunk: Chunk, at_truth: Tensor, x: Tensor
) -> Tensor | None:
    """h (n,): what a unit of cross-entropy of each voxel adds to the loss; None without costs. `at_truth` is p g."""
    if not costs:
        return None
    certainty = None
    if any(not isinstance(cost, PlainEntropy) for cost in costs):
        certainty = _certainty(at_truth.sum(0), chunk, x)
    h = at_truth.new_zeros(at_truth.shape[1])
    for cost, of_cost in zip(costs, of_costs, strict=True):
        own = of_cost @ chunk.g
        h += own if certainty is None else own * cost.slope(certainty)
    return h
