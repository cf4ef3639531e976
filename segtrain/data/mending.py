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
from segtrain.core.words import count
from segtrain.data.read import NEARLY_WHOLE, is_the_one_label, require_declared, whole_numbers
from segtrain.data.same_grid import require_same_grid


@dataclass(frozen=True, eq=False)
class MendedMask:
    """A mask on the grid of its scan, and what was done to it: a sentence each."""

    labels: LabelMap
    changes: tuple[str, ...]


def mended_mask(source: ScanSource, mask: Volume, task: Task, image: Grid) -> MendedMask:
    """The mask (1, X, Y, Z) as it can be used. Raises DataError, as its reader does, for what is not mended here."""
    ids, changes = mended_ids(source, mask, task)
    labels = onto_grid(LabelMap(ids, mask.grid), image, changes)
    return MendedMask(labels, (*mask.notes, *changes))


def mended_ids(source: ScanSource, mask: Volume, task: Task) -> tuple[NDArray[Any], list[str]]:
    """Label ids (X, Y, Z) of a mask, and what was changed, which takes more. DataError for what is no label."""
    changes: list[str] = []
    array = mask.array[0]
    if array.dtype.kind == "f":
        array = _rounded(array, changes)
    ids = whole_numbers(source, array)
    ids = _one_label(ids, task, changes)
    changes += require_declared(source, ids, task)
    return ids, changes


def _rounded(array: NDArray[Any], changes: list[str]) -> NDArray[Any]:
    rounded = np.round(array)
    apart = np.abs(array - rounded)
    odd = int(np.count_nonzero(apart))
    if not odd or not apart.max() <= NEARLY_WHOLE:
        return array
    changes.append(f"{count(odd, 'voxel')} within {apart.max():.2g} of a whole number rounded")
    return rounded


def _one_label(ids: NDArray[Any], task: Task, changes: list[str]) -> NDArray[Any]:
    """0 and 255, or 0 and any other value, where the task has one label."""
    if not is_the_one_label(ids, task):
        return ids
    label = task.labels[task.names[1]]
    changes.append(f"its one value {ids[ids != 0].flat[0]} became {label}, the one label of the task")
    return np.where(ids != 0, label, 0)


def onto_grid(labels: LabelMap, image: Grid, changes: list[str]) -> LabelMap:
    """The mask on the grid of its scan, what was done added to `changes`. GridMismatch where a voxel would get lost."""
    try:
        shifted = require_same_grid(image, labels.grid)
    except GridMismatch:
        mirrored = image.mirrored_axes(labels.grid)
        # Equal but for where it begins: which of the two headers is wrong, nobody knows.
        moved = None if mirrored == "" else _resampled(labels, image)
        if moved is None:
            raise
        how = f"its axes run otherwise ({mirrored} mirrored)" if mirrored else f"it lies on {labels.grid.describe()}"
        changes.append(f"{how}, and was brought onto the grid of the scan by what both headers say: look at it")
        return moved
    if shifted is not None:
        changes.append(shifted.removeprefix(": "))
    return LabelMap(labels.array, image)


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
