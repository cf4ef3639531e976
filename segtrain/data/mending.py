"""Masks that a reader refuses and that can be mended without anybody's opinion; what was changed is said.

Nothing here guesses what a voxel is. Fractions that an interpolation left of whole numbers are rounded, the one value
of a binary mask becomes the one label there is, and a mask that was drawn on another grid of the same patient comes
onto that of the scan, where no voxel of it gets lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.case import ScanSource
from segtrain.core.errors import GridMismatch
from segtrain.core.grid import Grid
from segtrain.core.resample import resample_labels
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.read import require_declared, require_same_grid, whole_numbers

NEARLY_WHOLE = 0.01
"""What resampling in float32 and its rounding leave of whole numbers; a linear interpolation leaves more."""
SAME_DIRECTION = 1e-3
"""Of the columns of two affines, relative to a voxel."""


@dataclass(frozen=True, eq=False)
class MendedMask:
    """A mask on the grid of its scan, and what was done to it: a sentence each."""

    labels: LabelMap
    changes: tuple[str, ...]


def mended_mask(source: ScanSource, mask: Volume, task: Task, image: Grid) -> MendedMask:
    """The mask (1, X, Y, Z) as it can be used. Raises DataError, as its reader does, for what is not mended here."""
    changes: list[str] = []
    array = mask.array[0]
    if array.dtype.kind == "f":
        array = _rounded(array, changes)
    ids = whole_numbers(source, array)
    ids = _one_label(ids, task, changes)
    require_declared(source, ids, task)
    labels = _onto(LabelMap(ids, mask.grid), image, changes)
    return MendedMask(labels, (*mask.notes, *changes))


def _rounded(array: NDArray[Any], changes: list[str]) -> NDArray[Any]:
    rounded = np.round(array)
    apart = np.abs(array - rounded)
    odd = int(np.count_nonzero(apart))
    if not odd or not apart.max() <= NEARLY_WHOLE:
        return array
    changes.append(f"{odd} voxels within {apart.max():.2g} of a whole number were rounded")
    return rounded


def _one_label(ids: NDArray[Any], task: Task, changes: list[str]) -> NDArray[Any]:
    """0 and 255, or 0 and any other value, where the task has one label."""
    there = [int(value) for value in np.unique(ids) if value]
    foreground = [label for name, label in task.labels.items() if name != task.names[0]]
    if len(there) != 1 or len(foreground) != 1 or there == foreground or there[0] == task.ignore:
        return ids
    changes.append(f"its one value {there[0]} became {foreground[0]}, the one label of the task")
    return np.where(ids != 0, foreground[0], 0)


def _onto(labels: LabelMap, image: Grid, changes: list[str]) -> LabelMap:
    try:
        shifted = require_same_grid(image, labels.grid)
    except GridMismatch:
        moved = None if _is_moved(labels.grid, image) else _resampled(labels, image)
        if moved is None:
            raise
        flipped = _flipped(labels.grid, image)
        how = f"its axes run otherwise ({flipped} flipped)" if flipped else f"it lies on {labels.grid.describe()}"
        changes.append(f"{how}, and was brought onto the grid of the scan by what both headers say: look at it")
        return moved
    if shifted is not None:
        changes.append(shifted.removeprefix(": "))
    return LabelMap(labels.array, image)


def _flipped(mask: Grid, image: Grid) -> str:
    """Axes along which a mask of the same shape and spacing runs the other way."""
    own, other = mask.affine[:3, :3], image.affine[:3, :3]
    signs = np.sign(np.sum(own * other, axis=0))
    same = mask.shape == image.shape and np.allclose(own * signs, other, atol=SAME_DIRECTION * min(image.spacing_mm))
    return ", ".join(axis for axis, sign in zip("xyz", signs, strict=True) if sign < 0) if same else ""


def _is_moved(mask: Grid, image: Grid) -> bool:
    """Equal but for where it begins: which of the two headers is wrong, nobody knows."""
    columns = mask.affine[:3, :3], image.affine[:3, :3]
    return mask.shape == image.shape and np.allclose(*columns, atol=SAME_DIRECTION * min(image.spacing_mm))


def _resampled(labels: LabelMap, image: Grid) -> LabelMap | None:
    """None where axes lean against each other, or a labelled voxel lies outside the scan."""
    drawn = np.argwhere(labels.array).astype(np.float64)
    places = np.linalg.inv(image.affine) @ np.c_[labels.grid.positions_mm(drawn), np.ones(len(drawn))].T
    inside = (places[:3] > -0.5) & (places[:3] < np.array(image.shape)[:, None] - 0.5)
    if not inside.all():
        return None
    try:
        found = resample_labels(labels, image)
    except ValueError:
        return None
    kept = set(np.unique(found.array).tolist()) >= set(np.unique(labels.array).tolist())
    return found if kept else None
