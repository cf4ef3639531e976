"""Cross-entropy of the classes that a voxel does not belong to, -log(1 - p_c) under softmax, summed in chunks.

With c* the largest class of a voxel, 1 - p_c is exact for all others, as they are at most a half; 1 - p_c* is the sum
of the others, and its logarithm is taken from their logits. The gradient in a logit is, with a_c = (1 - g_c) d/d sum_c,
t_c = a_c p_c / (1 - p_c) for c other than c* and 0 there, and r_c the share of c in the sum of those others,

    dx_c = a_c p_c - p_c (sum_k t_k - t_c) - r_c a_c* p_c*        r_c* = 0
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from segtrain.losses.chunks import Chunk, class_chunks, sum_dtype
from segtrain.losses.memory import unfilled


def outside_sums(x: Tensor, classes: Tensor, weight: Tensor | None) -> Tensor:
    """Sums [B, C] of (1 - g)(-log(1 - p)): logits x (B, C, N), classes (B, N); `weight` (B, N) is 0 where ignored."""
    sums: Tensor = _Outside.apply(x, classes, weight)
    return sums


class _Outside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, classes: Tensor, weight: Tensor | None) -> Tensor:
        sums = x.new_zeros(x.shape[:2], dtype=sum_dtype(x))
        for chunk, (g, u) in class_chunks(x, classes, weight, None, buffers=2):
            largest, log_rest, _ = _answers(chunk, x)
            torch.log1p(chunk.p.neg(), out=u).scatter_(0, largest, log_rest)
            sums[chunk.sample] -= chunk.total(u.mul_(torch.sub(1, g, out=g)))
        ctx.save_for_backward(x, classes, weight)
        return sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_sums: Tensor) -> tuple[Tensor, None, None]:
        x, classes, weight = ctx.saved_tensors
        dx = unfilled(x.shape, x.dtype, x.device)
        for chunk, (g, t) in class_chunks(x, classes, weight, None, buffers=2):
            largest, _, share = _answers(chunk, x)
            p = chunk.p
            pulled = torch.sub(1, g, out=g).mul_(of_sums[chunk.sample].unsqueeze(1)).mul_(p)
            # Of the largest class this may be infinite; it is the one that is not used.
            torch.div(pulled, 1 - p, out=t).scatter_(0, largest, 0)
            found = pulled - p * (t.sum(0) - t) - share.mul_(pulled.gather(0, largest))
            chunk.of(dx).copy_(found if chunk.weight is None else found.mul_(chunk.weight))
        return dx, None, None


def _answers(chunk: Chunk, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Largest class (1, n), log of the sum of the others (1, n), and their shares in it (C, n); fills `chunk.p`."""
    z = chunk.logits(x).to(chunk.p.dtype)
    total = z.logsumexp(0, keepdim=True)
    torch.exp(z - total, out=chunk.p)
    largest = z.argmax(0, keepdim=True)
    others = z.scatter(0, largest, -torch.inf)
    rest = others.logsumexp(0, keepdim=True)
    return largest, rest - total, others.sub_(rest).exp_()
