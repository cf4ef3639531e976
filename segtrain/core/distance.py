"""Distances to the border of a mask: the only caller of `edt`.

From centre to centre of voxels, as in scipy, in float32. `edt` measures to the nearest voxel of another label, so that
one pass answers for both sides of a border. An axis of one voxel is none. What `edt` answers where there is no border
(inf, or 0) never leaves this file undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Distances = NDArray[np.float32]
Box = tuple[slice, ...]


def distance_mm(mask: Mask, spacing_mm: Sequence[float], *, threads: int = 1) -> Distances:
    """Of each voxel of the mask to the nearest voxel outside it; 0 outside; inf where nothing is outside."""
    found = np.zeros(mask.shape, np.float32)
    box = bounding_box(mask, margin=1)
    if box is None:
        return found
    if mask[box].all():
        found.fill(np.inf)
    else:
        found[box] = np.sqrt(_squared(mask[box], spacing_mm, threads))
    return found


def signed_distance_mm(
    mask: Mask, spacing_mm: Sequence[float], *, known: Mask | None = None, threads: int = 1
) -> Distances:
    """Distance of each voxel to the nearest one on the other side of the border, negative inside the mask.

    An empty mask has no border: 0. Where nothing is outside, the border is the edge of the array. A voxel that is not
    `known` lies on neither side: it is no end of a distance, and its own value is 0.
    """
    found = np.sqrt(squared_distance_mm2(mask, spacing_mm, known=known, threads=threads))
    return np.negative(found, out=found, where=mask)


def squared_distance_mm2(
    mask: Mask, spacing_mm: Sequence[float], *, known: Mask | None = None, threads: int = 1
) -> Distances:
    """The square of `signed_distance_mm`, which costs no roots."""
    if known is not None and not known.all():
        return _squared_between(mask & known, ~mask & known, spacing_mm, threads)
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    return _squared(mask.view(np.uint8) + np.uint8(1), spacing_mm, threads, edge=bool(mask.all()))


def squared_distance_to_mm2(points: Mask, spacing_mm: Sequence[float], *, threads: int = 1) -> Distances:
    """The square of the distance of each voxel to the nearest of `points`; 0 at them, inf where there are none."""
    if not points.any():
        return np.full(points.shape, np.inf, np.float32)
    return _squared(~points, spacing_mm, threads)


def two_nearest_mm(
    objects: NDArray[np.int32], spacing_mm: Sequence[float], reach_mm: float
) -> tuple[Distances, Distances]:
    """Of each voxel to its nearest and second nearest object (labels from 1 on); inf, perhaps, beyond `reach_mm`."""
    nearest = np.full(objects.shape, np.inf, np.float32)
    second = nearest.copy()
    for label, box in enumerate(ndimage.find_objects(objects), start=1):
        if box is None:
            continue
        near = _grown(box, objects.shape, [int(np.ceil(reach_mm / size)) for size in spacing_mm])
        distance = distance_mm(objects[near] != label, spacing_mm)
        second[near] = np.minimum(second[near], np.maximum(nearest[near], distance))
        nearest[near] = np.minimum(nearest[near], distance)
    return nearest, second


def bounding_box(mask: Mask, margin: int = 0) -> Box | None:
    """The smallest box around the mask, grown by so many voxels within the array; None where the mask is empty."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        left = mask[tuple(box)]  # what the axes before have left over
        there = np.flatnonzero(left.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if len(there) == 0:
            return None
        box.append(slice(int(there[0]), int(there[-1]) + 1))
    return _grown(tuple(box), mask.shape, [margin] * mask.ndim)


def _grown(box: Box, shape: Sequence[int], margins: Sequence[int]) -> Box:
    return tuple(
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, size, margin in zip(box, shape, margins, strict=True)
    )


def _squared_between(members: Mask, others: Mask, spacing_mm: Sequence[float], threads: int) -> Distances:
    """Of members to the nearest of the others, and of those to the nearest member."""
    if not members.any():
        return np.zeros(members.shape, np.float32)
    if not others.any():
        return _squared(np.ones_like(members), spacing_mm, threads, edge=True) * members
    found = _squared(~others, spacing_mm, threads) * members
    found += _squared(~members, spacing_mm, threads) * others
    return found


def _squared(labels: NDArray[Any], spacing_mm: Sequence[float], threads: int, *, edge: bool = False) -> Distances:
    """To the nearest voxel of another label, or (`edge`) to beyond the array; 0 where the label is 0."""
    axes = [axis for axis, size in enumerate(labels.shape) if size > 1] or [0]
    flat = np.ascontiguousarray(labels).reshape([labels.shape[axis] for axis in axes])
    sides: Any = [float(spacing_mm[axis]) for axis in axes]
    sides = sides[0] if len(axes) == 1 else tuple(sides)
    found: Distances = edt.edtsq(flat, anisotropy=sides, black_border=edge, parallel=threads)
    return found.reshape(labels.shape)
