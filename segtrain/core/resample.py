"""The only resampler, forwards and back.

The two grids have parallel axes, as every canonical or respaced grid of a scan has with it, oblique scans
included: they are mapped axis by axis with small sparse matrices, exact for flips, crops and permutations, linear
in between, and widened to an area filter when it coarsens, so that a fine structure is averaged and not skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segtrain.core.grid import Affine, Grid
from segtrain.core.volume import LabelMap, Volume

Array = NDArray[Any]

PARALLEL_TOLERANCE_VOXELS = 0.01
"""Drift over the whole field of view up to which two grids' axes count as parallel."""
SNAP_VOXELS = 1e-4
"""A position this close to a voxel centre is that voxel: float32 affines must not blur a copy."""


@dataclass(frozen=True, eq=False)
class AxisMap:
    """Which voxels of a source axis make up each voxel of a target axis, and with what weights."""

    axis: int
    """The source axis that runs along the target axis."""
    index: NDArray[np.int64]
    """(n, taps) source voxels, ascending; repeated where the edge is."""
    weight: NDArray[np.float32] | None
    """(n, taps), of which each row adds up to 1; None where every target voxel is a copy, with one tap."""

    def part(self, start: int, stop: int) -> AxisMap:
        """The map of the target voxels from `start` to before `stop`."""
        weight = None if self.weight is None else self.weight[start:stop]
        return AxisMap(self.axis, self.index[start:stop], weight)

    @property
    def span(self) -> tuple[int, int]:
        """First source voxel that is needed, and the one after the last."""
        return int(self.index.min()), int(self.index.max()) + 1


def axis_maps(source: Grid, onto: Grid) -> tuple[AxisMap, ...]:
    """How `resample_array` makes each of the three axes of `onto` from one of `source`. ValueError as there."""
    axes, positions = _parallel_axes(np.linalg.inv(source.affine) @ onto.affine, onto.shape)
    return tuple(AxisMap(axis, *_taps(place, source.shape[axis])) for axis, place in zip(axes, positions, strict=True))


def resample_array(array: Array, source: Grid, onto: Grid, outside: float | None = None) -> Array:
    """Resample (X, Y, Z) linearly from `source` to `onto`; float32 stays float32.

    `outside` fills what lies beyond the source's outermost voxels; None repeats the edge. Raises ValueError where
    the axes of the two grids lean against each other.
    """
    axes, positions = _parallel_axes(np.linalg.inv(source.affine) @ onto.affine, onto.shape)
    values = np.transpose(array, axes)
    for axis in range(3):
        values = _along_axis(values, axis, positions[axis])
    if outside is not None:
        values = _fill_outside(values, positions, [array.shape[a] for a in axes], outside)
    return np.ascontiguousarray(values)


def resample_volume(volume: Volume, onto: Grid) -> Volume:
    """Resample every channel linearly; float32 out; the edge is repeated beyond the field of view."""
    channels = [resample_array(c.astype(np.float32, copy=False), volume.grid, onto) for c in volume.array]
    return Volume(np.stack(channels), onto)


def resample_labels(labels: LabelMap, onto: Grid) -> LabelMap:
    """Resample a mask label by label with linear weights and take the strongest; 0 beyond the edge.

    Smoother than nearest neighbour and free of half-voxel shifts; an exact copy where voxels coincide.
    """
    ids = np.unique(labels.array)
    if labels.grid.same_space(onto, SNAP_VOXELS):
        return LabelMap(labels.array, onto)

    def weight_of(label: int) -> Array:
        mask = (labels.array == label).astype(np.float32)
        return resample_array(mask, labels.grid, onto, outside=float(label == 0))

    best = strongest(weight_of, [int(i) for i in ids], onto.shape)
    return LabelMap(best.astype(labels.array.dtype, copy=False), onto)


def strongest(weight_of: Callable[[int], Array], ids: Sequence[int], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The id whose weight is largest at each voxel, holding two weight maps at a time and never all."""
    best_id = np.full(shape, ids[0], dtype=np.int32)
    best = weight_of(ids[0])
    for label in ids[1:]:
        weight = weight_of(label)
        wins = weight > best
        best_id[wins] = label
        best = np.where(wins, weight, best)
    return best_id


def _parallel_axes(index_map: Affine, shape: tuple[int, ...]) -> tuple[list[int], list[NDArray[np.float64]]]:
    """Source axis and source positions for each target axis."""
    matrix = index_map[:3, :3]
    axes = [int(a) for a in np.abs(matrix).argmax(axis=0)]
    lean = matrix.copy()
    lean[axes, range(3)] = 0
    drift = (np.abs(lean) * np.maximum(1, np.asarray(shape) - 1)).max()
    if sorted(axes) != [0, 1, 2] or drift > PARALLEL_TOLERANCE_VOXELS:
        raise ValueError("the axes of the two grids are not parallel")
    positions = [
        matrix[a, t] * np.arange(n) + index_map[a, 3] for t, (a, n) in enumerate(zip(axes, shape, strict=True))
    ]
    return axes, positions


def _along_axis(values: Array, axis: int, positions: NDArray[np.float64]) -> Array:
    """Interpolate one axis at fractional `positions`."""
    length = values.shape[axis]
    index, weight = _taps(positions, length)
    if weight is None:
        return np.take(values, index[:, 0], axis=axis)
    rows = np.broadcast_to(np.arange(len(index))[:, None], index.shape)
    weights = sparse.csr_matrix((weight.ravel(), (rows.ravel(), index.ravel())), shape=(len(index), length))
    moved = np.moveaxis(values, axis, 0)
    flat = weights @ np.ascontiguousarray(moved).reshape(length, -1)
    return np.moveaxis(flat.reshape(len(positions), *moved.shape[1:]), 0, axis)


def _taps(positions: NDArray[np.float64], length: int) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Source voxels and weights of each position: triangles, as wide as one step when it coarsens, else one voxel."""
    snapped = np.round(positions)
    positions = np.where(np.abs(positions - snapped) < SNAP_VOXELS, snapped, positions)
    if bool((positions == snapped).all()):
        return np.clip(snapped, 0, length - 1).astype(np.int64)[:, None], None
    step = abs(positions[1] - positions[0]) if len(positions) > 1 else 1.0
    radius = max(1.0, float(step))
    reach = int(np.ceil(radius))
    columns = np.floor(positions)[:, None].astype(np.int64) + np.arange(1 - reach, reach + 1)[None, :]
    shares = np.clip(1 - np.abs(columns - positions[:, None]) / radius, 0, None)
    weight = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    index = np.clip(columns, 0, length - 1)
    for tap in range(1, index.shape[1]):  # what lies beyond the edge adds to the edge, before anything is multiplied
        same = index[:, tap] == index[:, tap - 1]
        weight[same, tap] += weight[same, tap - 1]
        weight[same, tap - 1] = 0
    return index, weight


def _fill_outside(values: Array, positions: list[NDArray[np.float64]], lengths: list[int], fill: float) -> Array:
    """Overwrite what lies more than half a voxel beyond the outermost voxel centres."""
    values = np.array(values)
    for axis, (place, length) in enumerate(zip(positions, lengths, strict=True)):
        beyond = (place < -0.5 - SNAP_VOXELS) | (place > length - 0.5 + SNAP_VOXELS)
        if beyond.any():
            np.moveaxis(values, axis, 0)[beyond] = fill
    return values
