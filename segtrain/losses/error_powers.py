"""Powers of the error |p - g| of a chunk: their sums, split by the truth, and their slopes in p."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segtrain.losses.chunks import Chunk


def add_powers(sums: Sequence[Tensor], powers: Sequence[float], chunk: Chunk, p: Tensor, spare: Tensor) -> None:
    """To sums of missed and then of invented, one for each power, those of a chunk."""
    for place, power in enumerate(powers):
        error = torch.sub(p, chunk.g, out=spare)
        error = error.square_() if power == 2 else error.abs_().pow_(power)
        missed = error * chunk.g
        sums[place][chunk.sample] += chunk.total(missed)
        sums[place + len(powers)][chunk.sample] += chunk.total(error.sub_(missed))


def slopes_of_powers(of_sums: Sequence[Tensor], powers: Sequence[float], chunk: Chunk, p: Tensor) -> Tensor | None:
    """f (C, n): what the powers add to the slope in p; None without powers."""
    total = None
    for place, power in enumerate(powers):
        of_missed, of_invented = (of_sums[k][chunk.sample, :, None] for k in (place, place + len(powers)))
        error = p - chunk.g
        slope = error if power == 2 else error.abs().pow_(power - 1).mul_(error.sign_())
        found = slope.mul_(power).mul_(torch.lerp(of_invented, of_missed, chunk.g))
        total = found if total is None else total.add_(found)
    return total
