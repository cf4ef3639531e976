"""From the class indices of a batch to the target that a loss of some mode wants."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import torch
from torch import Tensor

from segtrain.core.task import IGNORED_CLASS
from segtrain.losses.voxels import Mode


def as_target(
    classes: Tensor,
    mode: Mode,
    members: Sequence[Sequence[int]],
    ignored: int = IGNORED_CLASS,
    *,
    has_ignored: bool,
) -> tuple[Tensor, Tensor | None]:
    """Class indices (B, *S) -> target and mask.

    multiclass: int64 (B, *S), ignored voxels set to 0. Else bool (B, outputs, *S): true in channel i where the class is
    one of `members[i]`. The mask (B, *S) is None unless `has_ignored`: the caller says so, because looking would make
    every step wait for the device.
    """
    mask = classes != ignored if has_ignored else None
    if mode == "multiclass":
        target = classes.to(torch.int64)
        return (target if mask is None else target.masked_fill(~mask, 0)), mask
    return torch.stack([reduce(or_, (classes == index for index in every)) for every in members], 1), mask
