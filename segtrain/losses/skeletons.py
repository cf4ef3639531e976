"""Skeletons of the truth of a batch: the caller's where it has them, else made on the CPU and without gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from segtrain.core.thinning import thinned
from segtrain.losses.maps import members
from segtrain.losses.voxels import Voxels

SKELETON = "skeleton"
"""(B, 1, *S): of all foreground of exclusive classes; (B, C, *S): of each class."""


def hard_skeleton(voxels: Voxels, first: int) -> Tensor:
    """Skeletons (B, 1 or C, *S), 0 or 1, in the dtype of the sums; C counts from the `first` class on.

    Exclusive classes have that of all foreground in common; the background, where it is asked for, has its own.
    """
    given = voxels.maps.get(SKELETON)
    if given is None:
        return _made(voxels, first).to(voxels.raw.device, voxels.dtype)
    if given.shape[1] == 1 < voxels.outputs and first == 0:
        raise ValueError(f"map {SKELETON} has one channel, but there are {voxels.outputs} classes to be scored")
    return (given if given.shape[1] == 1 else given[:, first:]).to(voxels.dtype)


@torch.no_grad()
def _made(voxels: Voxels, first: int) -> Tensor:
    masks = voxels.in_space(members(voxels, first))
    if voxels.mode != "multiclass":
        return _thinned(masks)
    foreground = _thinned(masks[:, 1 - first :].any(1, keepdim=True))
    if first == 1:
        return foreground
    return torch.cat([_thinned(masks[:, :1]), foreground.expand(-1, masks.shape[1] - 1, *voxels.space)], 1)


def _thinned(masks: Tensor) -> Tensor:
    """Skeletons of masks (B, C, *S), on the CPU."""
    found = [thinned(mask) for mask in masks.cpu().flatten(0, 1).numpy()]
    return torch.from_numpy(np.stack(found)).view(masks.shape)
