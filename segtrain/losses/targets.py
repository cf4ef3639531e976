"""From the class indices of a batch to the target that a loss of some mode wants."""

from __future__ import annotations

import torch
from torch import Tensor

from segtrain.core.task import IGNORED_CLASS
from segtrain.losses.voxels import Mode


def as_target(
    classes: Tensor, mode: Mode, outputs: int, ignored: int = IGNORED_CLASS, *, has_ignored: bool
) -> tuple[Tensor, Tensor | None]:
    """Class indices (B, *S) -> target and mask.

    multiclass: int64 (B, *S), ignored voxels set to 0. Else bool (B, outputs, *S): foreground class 1 + i against the
    rest in channel i. The mask (B, *S) is None unless `has_ignored`: the caller says so, because looking would make
    every step wait for the device.
    """
    mask = classes != ignored if has_ignored else None
    if mode == "multiclass":
        target = classes.to(torch.int64)
        return (target if mask is None else target.masked_fill(~mask, 0)), mask
    foreground = torch.arange(1, outputs + 1, device=classes.device).view(1, -1, *[1] * (classes.ndim - 1))
    return classes.unsqueeze(1) == foreground, mask
