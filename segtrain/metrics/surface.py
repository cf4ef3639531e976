"""Distances between the surfaces of two masks, found once, from which every boundary metric is read.

A surface lies at the corners of the voxel grid, one element where the voxels around a corner are not all inside or
all outside, and each element weighs by its area (`surfels`): so thick slices count for what they are, and one surface
serves HD, HD95, ASSD, MASD and NSD. Beyond the image nothing is inside: its edge is a surface where a mask touches it.
This is the definition of DeepMind's surface-distance. `voxel_borders_mm` is MedPy's, for old tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrain.core.nearest_voxel import distances_between_mm
from segtrain.metrics.surfels import surfel_sizes

Mask = NDArray[np.bool_]
Reals = NDArray[np.float64]

ROUNDING = 1e-6
"""Distances and shares closer than this, relatively, are equal: a distance of 3 x 0.8 mm is within 2.4 mm."""


@dataclass(frozen=True, eq=False)
class Directed:
    """From each element of one surface to the nearest point of another, sorted by distance."""

    distances_mm: Reals
    areas_mm2: Reals
    """Lengths in mm in a plane."""

    @property
    def mean_mm(self) -> float:
        """Weighted by area."""
        return float(self.distances_mm @ self.areas_mm2 / self.areas_mm2.sum())

    def percentile_mm(self, percent: float) -> float:
        """The distance within which so much of the area lies."""
        grown = np.cumsum(self.areas_mm2)
        place = int(np.searchsorted(grown, grown[-1] * percent / 100 * (1 - ROUNDING)))
        return float(self.distances_mm[min(place, len(grown) - 1)])

    def area_within_mm2(self, tolerance_mm: float) -> float:
        """Area of the elements that are not farther than the tolerance."""
        place = int(np.searchsorted(self.distances_mm, tolerance_mm * (1 + ROUNDING), side="right"))
        return float(self.areas_mm2[:place].sum())


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Both directions."""

    to_reference: Directed
    to_prediction: Directed

    @property
    def both(self) -> tuple[Directed, Directed]:
        """The two of them."""
        return self.to_reference, self.to_prediction


def surface_distances(
    prediction: Mask, reference: Mask, spacing_mm: Sequence[float], *, threads: int = 1
) -> SurfaceDistances:
    """Distances between the surfaces of two masks (X, Y) or (X, Y, Z), both of which hold a voxel."""
    sizes = surfel_sizes(tuple(spacing_mm))
    codes = [corner_codes(mask) for mask in (prediction, reference)]
    ours, theirs = ((code != 0) & (code != len(sizes) - 1) for code in codes)

    def directed(own: Mask, other: Mask, code: NDArray[np.uint8]) -> Directed:
        distances = distances_between_mm(own, other, spacing_mm, threads=threads)
        order = np.argsort(distances)
        return Directed(distances[order], sizes[code[own]][order])

    return SurfaceDistances(directed(ours, theirs, codes[0]), directed(theirs, ours, codes[1]))


def corner_codes(mask: Mask) -> NDArray[np.uint8]:
    """For each corner of the voxel grid (one more along each axis), which of the voxels around it are inside."""
    codes = np.pad(mask.view(np.uint8), 1)
    for axis in range(mask.ndim):
        low, high = _ends(codes, axis)
        codes = (low << np.uint8(1 << (mask.ndim - 1 - axis))) | high
    return codes


def voxel_borders_mm(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> Reals:
    """MedPy's surface distances: between centres of border voxels, both directions in one list, unweighted.

    A border voxel has a neighbour outside across one of its faces, or lies at the edge of the image.
    """
    ours, theirs = (mask & ~ndimage.binary_erosion(mask) for mask in (prediction, reference))
    both = (distances_between_mm(ours, theirs, spacing_mm), distances_between_mm(theirs, ours, spacing_mm))
    return np.concatenate(both)


def _ends(array: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Without the last and without the first entry along an axis."""
    low, high = [slice(None)] * array.ndim, [slice(None)] * array.ndim
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    return array[tuple(low)], array[tuple(high)]
