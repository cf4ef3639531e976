"""Objects of the truth of a batch: connected components, and which of them is nearest.

The caller's where it has them, else made here, on the CPU and without gradient. Voxels that share a corner belong
together (26-connected, 8-connected in a plane). Ids count from 1; 0 is no object. They may have gaps, so that a patch
can be cut from the map of a scan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from segtrain.losses.arithmetic import exact
from segtrain.losses.maps import members
from segtrain.losses.voxels import Voxels

COMPONENTS = "components"
"""(B, 1 or C, *S): id of the object that a voxel belongs to."""
NEAREST_COMPONENT = "nearest_component"
"""(B, 1 or C, *S): id of the object that is nearest to a voxel."""

Ids = NDArray[np.int64]


def first_with_objects(voxels: Voxels) -> int:
    """Class from which on there are objects: the background of exclusive classes is none."""
    return 1 if voxels.mode == "multiclass" else 0


def component_ids(voxels: Voxels, first: int) -> Tensor:
    """(B, C, N) int64: objects of the classes from `first` on, 0 off the class."""
    masks = members(voxels, first)
    given = _given(voxels, COMPONENTS, first)
    return _each(voxels.in_space(masks), components).flatten(2) if given is None else given * masks


def nearest_component_ids(voxels: Voxels, first: int, spacing_mm: tuple[float, ...]) -> Tensor:
    """(B, C, N) int64: the nearest object of each class from `first` on; 0 where the class is absent."""
    given = _given(voxels, NEAREST_COMPONENT, first)
    if given is not None:
        return given
    own = component_ids(voxels, first)
    return _each(voxels.in_space(own), lambda ids: nearest(ids, spacing_mm)).flatten(2)


def components(mask: NDArray[np.bool_]) -> Ids:
    """Ids of the connected components of a mask."""
    found = ndimage.label(mask, np.ones((3,) * mask.ndim))[0]
    return np.asarray(found, np.int64)


def nearest(ids: Ids, spacing_mm: tuple[float, ...]) -> Ids:
    """Id of the nearest object, by its nearest voxel; 0 everywhere where there is none."""
    if not ids.any():
        return ids
    places = ndimage.distance_transform_edt(ids == 0, spacing_mm, return_distances=False, return_indices=True)
    found: Ids = ids[tuple(places)]
    return found


def sums_by_id(values: Tensor, ids: Tensor, count: int) -> Tensor:
    """(B, C, N) and ids below `count` -> (B, C, count) sums of the values of each id."""
    # One after the other, float32 numbers of a whole volume would lose half of their digits.
    wide = values.to(exact(values))
    sums = wide.new_zeros(*ids.shape[:2], count).scatter_add(2, ids, wide.expand_as(ids))
    return sums.to(values.dtype)


@torch.no_grad()
def _each(arrays: Tensor, make: Callable[[NDArray[Any]], Ids]) -> Tensor:
    """`make` of each array of (B, C, *S)."""
    found = np.stack([make(array) for array in arrays.cpu().flatten(0, 1).numpy()])
    return torch.from_numpy(found).view(arrays.shape).to(arrays.device)


def _given(voxels: Voxels, name: str, first: int) -> Tensor | None:
    given = voxels.maps.get(name)
    if given is None:
        return None
    own = given if given.shape[1] == 1 else given[:, first:]
    return own.expand(-1, voxels.outputs - first, *voxels.space).flatten(2).long()
