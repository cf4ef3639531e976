"""Slices that lie on no grid, and the grid that they are brought onto: gaps, uneven distances, a tilted gantry.

All positions are in RAS. Slices are parallel, of one size, and in the order in which they follow each other along their
normal. What leans is taken out within the slice plane; what is missing is interpolated along the normal, linearly for
values. A label is never interpolated: a slice takes those of the nearest one that was drawn, of two equally near ones
those of the one before. Slices that lie where the grid wants them are copied, value for value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid

Vector = NDArray[np.float64]
Array = NDArray[Any]

SAME_PLACE = 0.01
"""Share of a step by which a slice may lie beside its place and still be copied there."""
LEANING_VOXELS = 0.1
"""How far a frame may lean out of the slices, at its far corner."""


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Parallel slices of one size."""

    size: tuple[int, int]
    """Voxels along a row, along a column: the first two axes of an array."""
    steps_mm: Vector
    """(3, 2): from voxel to voxel along a row, along a column."""
    places_mm: Vector
    """(n, 3): the first voxel of each slice."""

    @cached_property
    def normal(self) -> Vector:
        """(3,), of length 1, from the first slice to the last."""
        normal = np.cross(self.steps_mm[:, 0], self.steps_mm[:, 1])
        towards = normal @ (self.places_mm[-1] - self.places_mm[0])
        unit: Vector = np.sign(towards) * normal / np.linalg.norm(normal)
        return unit

    @cached_property
    def heights_mm(self) -> Vector:
        """(n,) along the normal, from the first slice."""
        heights: Vector = (self.places_mm - self.places_mm[0]) @ self.normal
        return heights

    @cached_property
    def lean(self) -> Vector:
        """(3,) mm within the slice plane for each mm along the normal, from the first slice to the last."""
        lean: Vector = (self.places_mm[-1] - self.places_mm[0]) / self.heights_mm[-1] - self.normal
        return lean

    @property
    def off_line_mm(self) -> Vector:
        """(n,) how far each slice lies beside the straight line from the first to the last, within its plane."""
        aside = self.places_mm - self.places_mm[0] - np.outer(self.heights_mm, self.normal + self.lean)
        off: Vector = np.linalg.norm(aside, axis=1)
        return off

    def same_slices(self, other: SliceStack, tolerance_mm: float) -> bool:
        """Whether two stacks have the same slices at the same places, voxel for voxel."""
        if self.size != other.size or len(self.places_mm) != len(other.places_mm):
            return False
        apart = np.abs(self.places_mm - other.places_mm).max()
        at_the_far_end = (np.array(self.size) * np.linalg.norm(self.steps_mm - other.steps_mm, axis=0)).max()
        return bool(max(apart, at_the_far_end) <= tolerance_mm)


@dataclass(frozen=True, eq=False)
class Evened:
    """How a stack comes onto a grid of upright, even slices."""

    stack: SliceStack
    slots_mm: Vector
    """(m,) heights of the places where something may have been drawn: those of the slices, and of the missing ones."""
    heights_mm: Vector
    """(k,) heights of the slices of the grid."""
    upright: bool
    """Whether the lean is taken out. Else it stays in the affine, as that of any series which leans by next to nothing.
    """

    @cached_property
    def grid(self) -> Grid:
        """Of the repaired scan."""
        stack, corner = self.stack, self._corner
        step_mm = self.heights_mm[-1] / (len(self.heights_mm) - 1)
        way = stack.normal if self.upright else stack.normal + stack.lean
        affine = np.eye(4)
        affine[:3] = np.column_stack([stack.steps_mm, way * step_mm, stack.places_mm[0] + stack.steps_mm @ corner])
        return Grid((*self._size, len(self.heights_mm)), affine)

    @cached_property
    def slot_grid(self) -> Grid:
        """Of the slots, as if they were even and upright; `straightened` brings what was drawn onto it."""
        stack = self.stack
        affine = np.eye(4)
        affine[:3] = np.column_stack([stack.steps_mm, stack.normal * self._usual_mm, stack.places_mm[0]])
        return Grid((*stack.size, len(self.slots_mm)), affine)

    @property
    def moved_mm(self) -> float:
        """How far the slice that is moved most is moved within its plane."""
        return float(np.linalg.norm(self.stack.lean) * self.heights_mm[-1]) if self.upright else 0.0

    def values(self, array: Array) -> Array:
        """Values (X, Y, n) of the slices -> (X', Y', k) on the grid, in the same dtype; whole numbers are rounded.

        What lies beyond the slices of a stack that leaned gets the smallest value there is.
        """
        heights, fill = self.stack.heights_mm, array.min()
        found = np.empty(self.grid.shape, dtype=array.dtype)
        above, share = self._between(heights)
        for number, (at, weight) in enumerate(zip(above, share, strict=True)):
            if weight in (0.0, 1.0):
                at += int(weight) - 1
                found[..., number] = self._placed(array[..., at], heights[at], fill)
                continue
            one, other = (self._placed(array[..., n].astype(np.float64), heights[n], np.nan) for n in (at - 1, at))
            between = (1 - weight) * one + weight * other
            between[np.isnan(between)] = fill  # beyond one of the two
            found[..., number] = np.rint(between) if array.dtype.kind in "iu" else between
        return found

    def labels(self, drawn: Array) -> Array:
        """Labels (X, Y, m) on the slots -> (X', Y', k) on the grid.

        A slot without a slice counts where something is drawn on it.
        """
        found = np.empty(self.grid.shape, dtype=drawn.dtype)
        for number, slot in enumerate(self._nearest_slots(drawn)):
            found[..., number] = self._placed_labels(drawn[..., slot], self.slots_mm[slot])
        return found

    def borrowed(self, drawn: Array) -> int:
        """How many slices of the grid have the labels of a slot that lies elsewhere."""
        apart = np.abs(self.heights_mm - self.slots_mm[self._nearest_slots(drawn)])
        return int(np.count_nonzero(apart > SAME_PLACE * self._usual_mm))

    def on_slots(self, labels: Array) -> Array:
        """Labels (X, Y, n) of the slices -> (X, Y, m); nothing is drawn where a slice is missing."""
        at = np.abs(self.slots_mm[:, None] - self.stack.heights_mm).argmin(axis=0)
        found = np.zeros((*labels.shape[:2], len(self.slots_mm)), dtype=labels.dtype)
        found[..., at] = labels
        return found

    def straightened(self, points_mm: Vector) -> Vector:
        """Points (N, 3), as they were drawn on the slices -> where they lie on `slot_grid`.

        One between two slots stays between them, by the same share of the way.
        """
        stack, slots = self.stack, self.slots_mm
        beside = points_mm - stack.places_mm[0]
        heights = beside @ stack.normal
        at = np.clip(np.searchsorted(slots, heights), 1, len(slots) - 1)
        steps = np.diff(slots)[at - 1]
        steps = np.where((heights < slots[0]) | (heights > slots[-1]), self._usual_mm, steps)
        ends = np.where(heights > slots[-1], slots[-1], slots[at - 1])
        index = np.where(heights > slots[-1], len(slots) - 1, at - 1) + (heights - ends) / steps
        flat = beside - np.outer(heights, stack.normal + stack.lean)
        straight: Vector = stack.places_mm[0] + flat + np.outer(index * self._usual_mm, stack.normal)
        return straight

    def leans_out(self, steps_mm: Vector, size: tuple[int, int]) -> bool:
        """Whether a frame with these steps (3, 2) and size runs across the slices."""
        rise = np.abs(self.stack.normal @ steps_mm) @ np.asarray(size, dtype=np.float64)
        return bool(rise > LEANING_VOXELS * self._usual_mm)

    def as_written_elsewhere(self) -> tuple[Grid, Grid]:
        """The grids that other programs give a series of these slices, each in its turn, from its ends alone.

        They lie as far apart as their number says: leaning as they do, or upright (GDCM, so SimpleITK and 3D Slicer).
        """
        stack = self.stack
        way = (stack.places_mm[-1] - stack.places_mm[0]) / (len(stack.places_mm) - 1)
        affine = np.eye(4)
        grids = []
        for step in (way, stack.normal * np.linalg.norm(way)):
            affine[:3] = np.column_stack([stack.steps_mm, step, stack.places_mm[0]])
            grids.append(Grid((*stack.size, len(stack.places_mm)), affine))
        return grids[0], grids[1]

    @property
    def _usual_mm(self) -> float:
        return float(np.median(np.diff(self.slots_mm)))

    @cached_property
    def _shifts(self) -> Vector:
        """(2,) how far a slice one mm higher lies aside, in voxels along a row and along a column."""
        slope: Vector = np.linalg.pinv(self.stack.steps_mm) @ self.stack.lean * float(self.upright)
        return slope

    @property
    def _corner(self) -> NDArray[np.int64]:
        """First voxel of the grid in voxels of the first slice: 0, or less where slices lean that way."""
        corner: NDArray[np.int64] = np.floor(np.minimum(0, self._shifts * self.stack.heights_mm[-1]) + 1e-6).astype(int)
        return corner

    @property
    def _size(self) -> tuple[int, int]:
        far = np.ceil(np.maximum(0, self._shifts * self.stack.heights_mm[-1]) - 1e-6).astype(int)
        x, y = np.array(self.stack.size) + far - self._corner
        return int(x), int(y)

    def _nearest_slots(self, drawn: Array) -> NDArray[np.intp]:
        """For each slice of the grid the slot whose labels it gets."""
        near = SAME_PLACE * self._usual_mm
        real = np.abs(self.slots_mm[:, None] - self.stack.heights_mm).min(axis=1) <= near
        counts = np.flatnonzero(real | drawn.any(axis=(0, 1)))
        apart = np.abs(self.heights_mm[:, None] - self.slots_mm[counts])
        nearest: NDArray[np.intp] = counts[(apart <= apart.min(axis=1, keepdims=True) + near).argmax(axis=1)]
        return nearest

    def _between(self, heights: Vector) -> tuple[NDArray[np.int64], Vector]:
        """For each slice of the grid: the first of `heights` that is not below it, and its share; 0 or 1 is a copy."""
        above = np.clip(np.searchsorted(heights, self.heights_mm), 1, len(heights) - 1)
        share = (self.heights_mm - heights[above - 1]) / (heights[above] - heights[above - 1])
        near = SAME_PLACE * self._usual_mm
        share = np.where(np.abs(self.heights_mm - heights[above - 1]) <= near, 0.0, share)
        return above, np.where(np.abs(self.heights_mm - heights[above]) <= near, 1.0, np.clip(share, 0, 1))

    def _placed(self, one: Array, height_mm: float, fill: Any) -> Array:
        """A slice where it belongs on the plane of the grid; linear between voxels, `fill` beyond it."""
        starts, moved = [], one
        for axis, first in enumerate(self._shifts * height_mm - self._corner):
            start, moved = _moved(moved, float(first), axis)
            starts.append(start)
        return self._on_plane(moved, starts, fill)

    def _placed_labels(self, one: Array, height_mm: float) -> Array:
        """The same of labels: those of the nearest voxel, 0 beyond the slice."""
        return self._on_plane(one, np.rint(self._shifts * height_mm - self._corner).astype(int).tolist(), 0)

    def _on_plane(self, one: Array, starts: Sequence[int], fill: Any) -> Array:
        plane: Array = np.full(self._size, fill, dtype=one.dtype)
        x, y = starts
        plane[x : x + one.shape[0], y : y + one.shape[1]] = one
        return plane


def _moved(one: Array, first: float, axis: int) -> tuple[int, Array]:
    """A slice whose first voxel lies at `first` voxels of the plane -> the first voxel of the plane, and its values.

    Between two voxels there is one less, since nothing is known beyond the last.
    """
    low = int(np.floor(first))
    share = first - low
    if min(share, 1 - share) <= SAME_PLACE:
        return round(first), one
    last = [slice(None)] * 2
    before = [slice(None)] * 2
    last[axis], before[axis] = slice(1, None), slice(None, -1)
    between = (1 - share) * one[tuple(last)].astype(np.float64) + share * one[tuple(before)]
    return low + 1, (np.rint(between) if one.dtype.kind in "iu" else between).astype(one.dtype)
