"""Sums over the processes of a data-parallel training, for losses that pool over the batch.

Each rank sees a part of the batch, but a ratio of sums is that of the whole batch only if it is made of sums over all
ranks. With R ranks, s_r(theta) what rank r counts, S = sum_r s_r, and L_r the loss of rank r, which may have local
terms too, DistributedDataParallel minimises the mean of the L_r, whose gradient through S is

    1/R sum_q sum_r dL_q/dS ds_r/dtheta = 1/R sum_r G ds_r/dtheta,   G = sum_q dL_q/dS

Rank r can only follow its own ds_r/dtheta, and the ranks' gradients are then averaged. So the gradient handed back is
G, the sum over ranks of those that arrive. Where a loss depends on S alone, all L_q are one L and G = R dL/dS: after
the average this is dL/dS dS/dtheta, the gradient of one process with the whole batch. Value and gradient hold for
parts of unequal size as well, because nothing but sums is exchanged.

Means over voxels (cross-entropies) stay local, as everywhere in DistributedDataParallel: their average over ranks is
the mean of the batch where all ranks hold equally many valid voxels. What sorts the voxels of a batch (topk_ce,
ohem_ce, lovasz_softmax) sorts those of its rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_APART: ContextVar[bool] = ContextVar("apart", default=False)


@contextmanager
def apart() -> Iterator[None]:
    """Losses exchange nothing here: for a rank that tries one by itself."""
    token = _APART.set(True)
    try:
        yield
    finally:
        _APART.reset(token)


def sum_over_ranks(*parts: Tensor) -> tuple[Tensor, ...]:
    """The sum over ranks of each of `parts`, which have one shape and dtype, in one exchange; themselves on one rank.

    A part without gradient stays one. Every rank has to come here equally often: one that validates alone would wait
    for ever, so give it a loss that is reduced over samples.
    """
    if _APART.get() or not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return parts
    sums: tuple[Tensor, ...] = _SumOverRanks.apply(*parts)
    return sums


class _SumOverRanks(torch.autograd.Function):
    """All-reduce in both directions; see the module for why."""

    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> tuple[Tensor, ...]:
        sums = _exchanged(parts)
        ctx.mark_non_differentiable(*(s for s, needed in zip(sums, ctx.needs_input_grad, strict=True) if not needed))
        return sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        sums = _exchanged(gradients)
        return tuple(s if needed else None for s, needed in zip(sums, ctx.needs_input_grad, strict=True))


def _exchanged(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    together = torch.stack(parts)
    dist.all_reduce(together)
    return together.unbind()
