"""`core.resample` for a block of logits, on the device where they lie, and with the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from segtrain.core.resample import AxisMap


def regrid(logits: Tensor, maps: Sequence[AxisMap]) -> Tensor:
    """Logits (outputs, *source) -> (outputs, *target), float32; the i-th map makes target axis i.

    The maps count source voxels from the first one of `logits`. Raises nothing of its own.
    """
    values = logits.permute(0, *(1 + axis_map.axis for axis_map in maps)).float()
    for dim, axis_map in enumerate(maps, start=1):
        values = _along(values, dim, axis_map)
    return values


def _along(values: Tensor, dim: int, axis_map: AxisMap) -> Tensor:
    """One axis; products are added in the order of the taps, as the sparse matrices of `core.resample` do."""
    if axis_map.weight is None:
        return _picked(values, dim, axis_map.index[:, 0])
    shape = [1] * values.ndim
    shape[dim] = -1
    total: Tensor | None = None
    for tap in range(axis_map.index.shape[1]):
        weight = torch.from_numpy(np.ascontiguousarray(axis_map.weight[:, tap])).to(values.device).view(shape)
        part = _picked(values, dim, axis_map.index[:, tap]) * weight
        total = part if total is None else total.add_(part)
    if total is None:
        raise ValueError("a map without taps")
    return total


def _picked(values: Tensor, dim: int, index: np.ndarray) -> Tensor:
    """The voxels `index` along an axis; where they are neighbours in order, without a copy."""
    first, count = int(index[0]), len(index)
    if np.array_equal(index, np.arange(first, first + count)):
        return values.narrow(dim, first, count)
    return values.index_select(dim, torch.from_numpy(np.ascontiguousarray(index)).to(values.device))
