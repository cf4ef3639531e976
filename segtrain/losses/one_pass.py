"""Every sum over voxels that a loss is made of, in one pass through memory, with a closed-form backward.

Asked for are soft counts [B, C] (hits, answers, truth), sums of costs of the cross-entropy, split by class, and sums of
powers of the error |p - g|, split likewise. All are sums over voxels, and with S = sum_k p_k m_k the gradient is

    softmax   dx_c = p_c (m_c - S) + h (p_c - g_c)          m_c = d/d answers_c + g_c d/d hits_c + f_c
    sigmoid   dx_c = p_c (1 - p_c) m_c + h_c (p_c - g_c)    h = sum_j d/d cost_j slope_j(e)

where f_c is what the powers add: d/d power_c q |p_c - g_c|^(q - 1) sign(p_c - g_c).

Probabilities are written into the memory that becomes the gradient; all else is as small as a chunk, which stays in the
cache. So a loss needs little beside logits and gradient, where autograd keeps a volume for every operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.asked import Asked
from segtrain.losses.chunks import Chunk, class_chunks, member_chunks, sum_dtype
from segtrain.losses.entropy import Certainty, EntropyCost, PlainEntropy
from segtrain.losses.error_powers import add_powers, slopes_of_powers
from segtrain.losses.memory import unfilled

SMALLEST = 1e-30
"""Below this a float32 probability has lost digits or is 0; its logarithm is then taken from the logits."""

SAFE_TOTAL = 1e-7, 1e30
"""Sums of exponentials between these lose no digit of a probability above `SMALLEST`: its exponential is above 1e-37,
and float32 numbers have all their digits down to 1.2e-38."""


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
    missed: tuple[Tensor, ...] = ()
    """For each power: sum g |p - g|^q."""
    invented: tuple[Tensor, ...] = ()
    """For each power: sum (1 - g) |p - g|^q."""

    def of(self, costs: Sequence[int], powers: Sequence[int]) -> Sums:
        """The same with some of the costs and powers."""
        members = tuple(self.members[place] for place in costs)
        others = tuple(self.others[place] for place in costs) if self.others else ()
        missed, invented = (tuple(part[place] for place in powers) for part in (self.missed, self.invented))
        return Sums(self.hits, self.answers, self.truth, members, others, missed, invented)


def softmax_sums(x: Tensor, classes: Tensor, weight: Tensor | None, asked: Asked) -> Sums:
    """Sums for logits x (B, C, N) and class indices (B, N) of any integer type; `weight` (B, N) is 0 where ignored."""
    return _sums(_Softmax, x, classes, weight, asked)


def sigmoid_sums(x: Tensor, truth: Tensor, weight: Tensor | None, asked: Asked) -> Sums:
    """Sums for logits x and memberships (B, C, N); `weight` (B, N) is 0 where ignored."""
    return _sums(_Sigmoid, x, truth, weight, asked)


def _sums(function: type[_Softmax | _Sigmoid], x: Tensor, truth: Tensor, weight: Tensor | None, asked: Asked) -> Sums:
    # Slopes of powers are added to those of the counts.
    asked = replace(asked, overlap=asked.overlap or bool(asked.powers))
    hits, answers, size, *found = function.apply(_followed(x), truth, weight, asked)
    rest = iter(found)
    members = tuple(islice(rest, len(asked.costs)))
    others = tuple(islice(rest, len(asked.costs))) if function is _Sigmoid else ()
    missed = tuple(islice(rest, len(asked.powers)))
    return Sums(hits, answers, size, members, others, missed, tuple(rest))


def _followed(x: Tensor) -> Tensor:
    """A function is told whether its input requires a gradient, but not that nobody will ask for it."""
    return x if torch.is_grad_enabled() else x.detach()


class _Softmax(torch.autograd.Function):
    """Exclusive classes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, classes: Tensor, weight: Tensor | None, asked: Asked) -> tuple[Tensor, ...]:
        kept = _kept(ctx, x)
        hits, answers, truth, *rest = _zeros(x, 3 + len(asked.costs) + 2 * len(asked.powers))
        sums, powers = rest[: len(asked.costs)], rest[len(asked.costs) :]
        for chunk, (g, u) in class_chunks(x, classes, weight, kept, buffers=2):
            p = _softmax(x, chunk)
            torch.mul(p, g, out=u)
            if asked.overlap:
                hits[chunk.sample] += chunk.total(u)
                answers[chunk.sample] += chunk.total(p)
            truth[chunk.sample] += chunk.total(g)
            if asked.costs:
                certainty = _certainty(u.sum(0), chunk, x)
                for total, cost in zip(sums, asked.costs, strict=True):
                    total[chunk.sample] += chunk.by_class(cost.value(certainty))
            add_powers(powers, asked.powers, chunk, p, u)
        ctx.save_for_backward(x, classes, weight)
        ctx.p, ctx.asked = kept, asked
        ctx.mark_non_differentiable(truth)
        return hits, answers, truth, *rest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, classes, weight = ctx.saved_tensors
        asked: Asked = ctx.asked
        kept, ctx.p = ctx.p, None
        dx = kept if kept is not None and kept.dtype == x.dtype else unfilled(x.shape, x.dtype, x.device)
        of_hits, of_answers, _, *of_rest = gradients
        of_costs, of_powers = of_rest[: len(asked.costs)], of_rest[len(asked.costs) :]
        for chunk, (g, u) in class_chunks(x, classes, weight, kept, buffers=2):
            here = _softmax(x, chunk) if kept is None else chunk.p
            torch.mul(here, g, out=u)
            h = _pull(asked.costs, [of_cost[chunk.sample] for of_cost in of_costs], chunk, u, x)
            if asked.overlap:
                # Regrouped: dx_c = p_c (a_c - (S - h)) + g_c (p_t b_t - h) + p_c f_c, a, b = d/d answers, d/d hits.
                own = u.t() @ of_hits[chunk.sample]
                rest = (here.t() @ of_answers[chunk.sample]).add_(own)
                powers = slopes_of_powers(of_powers, asked.powers, chunk, here)
                if powers is not None:
                    rest.add_(powers.mul_(here).sum(0))
                if h is not None:
                    rest.sub_(h)
                    own.sub_(h)
                here.mul_(torch.sub(of_answers[chunk.sample, :, None], rest, out=u)).addcmul_(g, own)
                if powers is not None:
                    here.add_(powers)
            elif h is not None:
                here.sub_(g).mul_(h)
            if chunk.weight is not None:
                here.mul_(chunk.weight)
            if dx is not kept:
                chunk.of(dx).copy_(here)
        return dx, None, None, None


class _Sigmoid(torch.autograd.Function):
    """Independent outputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, truth: Tensor, weight: Tensor | None, asked: Asked) -> tuple[Tensor, ...]:
        kept = _kept(ctx, x)
        costs = len(asked.costs)
        hits, answers, size, *rest = _zeros(x, 3 + 2 * costs + 2 * len(asked.powers))
        for chunk, (g, u) in member_chunks(x, truth, weight, kept, buffers=2):
            p = _sigmoid(x, chunk)
            if asked.overlap:
                hits[chunk.sample] += chunk.total(torch.mul(p, g, out=u))
                answers[chunk.sample] += chunk.total(p)
            size[chunk.sample] += chunk.total(g)
            if asked.costs:
                certainty = _binary_certainty(chunk, x)
                for place, cost in enumerate(asked.costs):
                    value = cost.value(certainty)
                    inside = chunk.total(torch.mul(value, g, out=u))
                    rest[place][chunk.sample] += inside
                    rest[place + costs][chunk.sample] += chunk.total(value) - inside
            add_powers(rest[2 * costs :], asked.powers, chunk, p, u)
        ctx.save_for_backward(x, truth, weight)
        ctx.p, ctx.asked = kept, asked
        ctx.mark_non_differentiable(size)
        return hits, answers, size, *rest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, truth, weight = ctx.saved_tensors
        asked: Asked = ctx.asked
        kept, ctx.p = ctx.p, None
        dx = kept if kept is not None and kept.dtype == x.dtype else unfilled(x.shape, x.dtype, x.device)
        of_hits, of_answers, _, *of_rest = gradients
        costs = len(asked.costs)
        for chunk, (g, m, u) in member_chunks(x, truth, weight, kept, buffers=3):
            here = _sigmoid(x, chunk) if kept is None else chunk.p
            if asked.overlap:
                torch.mul(g, of_hits[chunk.sample, :, None], out=m).add_(of_answers[chunk.sample, :, None])
                powers = slopes_of_powers(of_rest[2 * costs :], asked.powers, chunk, here)
                if powers is not None:
                    m.add_(powers)
                m.mul_(torch.sub(1, here, out=u)).mul_(here)
            else:
                m.zero_()
            if asked.costs:
                certainty = _binary_certainty(chunk, x)
                slopes = [
                    torch.lerp(out[chunk.sample, :, None], own[chunk.sample, :, None], g) * cost.slope(certainty)
                    for cost, own, out in zip(asked.costs, of_rest[:costs], of_rest[costs : 2 * costs], strict=True)
                ]
                here.sub_(g).mul_(sum(slopes[1:], slopes[0])).add_(m)
            else:
                here.copy_(m)
            if chunk.weight is not None:
                here.mul_(chunk.weight)
            if dx is not kept:
                chunk.of(dx).copy_(here)
        return dx, None, None, None


def _zeros(x: Tensor, count: int) -> list[Tensor]:
    """So many sums [B, C]."""
    return [x.new_zeros(x.shape[:2], dtype=sum_dtype(x)) for _ in range(count)]


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
    """Of the true class (n,); full where ignored.

    All three forms come from p_t, so 1 - p_t and e have an absolute error of 1e-7 in float32: what an answer costs that
    is as certain as that is not told apart. The sum of the other classes would have all digits, for a third more time.
    """
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
