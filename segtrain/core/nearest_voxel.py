"""From some voxels of a grid to the nearest of others, exactly, without a distance for every voxel between.

Two surfaces of one structure mostly lie within a few voxels of each other. So the neighbourhood of a voxel is looked
through first, the nearest places first, for all voxels at once: whoever meets a target is done. The few that are left
ask a k-d tree, or where they are many, a map of distances.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from segtrain.core.distance import Mask, squared_distance_to_mm2

NEIGHBOURHOOD = 128
"""About so many places around a voxel are looked at: within 3 voxels, where spacing is the same along all axes."""
POINT_COST = 100.0
"""Voxels of a distance map that cost as much time as one far point asked of a tree (measured)."""

Reals = NDArray[np.float64]


def distances_between_mm(points: Mask, targets: Mask, spacing_mm: Sequence[float], *, threads: int = 1) -> Reals:
    """Distance (N,) from the centre of each voxel of `points`, in C order, to the nearest centre of `targets`.

    Both are masks of one shape, in two or three dimensions; `targets` holds a voxel.
    """
    steps, squared_mm2 = _neighbourhood(tuple(spacing_mm))
    margins = [(int(m), int(m)) for m in steps.max(axis=0)]
    held = np.pad(targets, margins)
    start = np.flatnonzero(np.pad(points, margins))
    strides = np.array([math.prod(held.shape[axis + 1 :]) for axis in range(held.ndim)])
    found = np.full(len(start), np.inf)
    voxels, left, position = held.reshape(-1), np.arange(len(start)), start
    for jump, squared in zip(steps @ strides, squared_mm2, strict=True):
        hit = voxels[position + jump]
        found[left[hit]] = squared
        left, position = left[~hit], position[~hit]
        if len(left) == 0:
            break
    else:
        found[left] = _far(held, position, spacing_mm, threads)
    return np.asarray(np.sqrt(found))


def _far(targets: Mask, points: NDArray[np.intp], spacing_mm: Sequence[float], threads: int) -> Reals:
    """Squared distances of points, flat indices, by whichever way is the faster one."""
    if len(points) * POINT_COST > targets.size:
        return squared_distance_to_mm2(targets, spacing_mm, threads=threads).reshape(-1)[points].astype(np.float64)
    tree = cKDTree(np.argwhere(targets) * np.asarray(spacing_mm), balanced_tree=False, compact_nodes=False)
    places = np.stack(np.unravel_index(points, targets.shape), axis=1) * np.asarray(spacing_mm)
    distances, _ = tree.query(places, workers=threads)
    return np.asarray(np.square(distances))


@lru_cache(maxsize=8)
def _neighbourhood(spacing_mm: tuple[float, ...]) -> tuple[NDArray[np.intp], Reals]:
    """Steps (M, axes) to all voxels within some distance, the nearest first, and their squared lengths (M,) in mm2."""
    axes = len(spacing_mm)
    unit_ball = math.pi ** (axes / 2) / math.gamma(axes / 2 + 1)
    reach_mm = (NEIGHBOURHOOD * math.prod(spacing_mm) / unit_ball) ** (1 / axes)
    sides = [range(-int(reach_mm // s), int(reach_mm // s) + 1) for s in spacing_mm]
    steps = np.array(list(itertools.product(*sides)), dtype=np.intp)
    squared = np.square(steps * np.asarray(spacing_mm)).sum(axis=1)
    order = np.argsort(squared, kind="stable")
    order = order[squared[order] <= reach_mm**2]
    return steps[order], squared[order]
