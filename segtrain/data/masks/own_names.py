"""Masks that say themselves what their ids are: `.seg.nrrd` of 3D Slicer, which numbers segments in their order.

So the liver is 1 in one mask and 2 in the next, and both are read without a word where only ids are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.task import Task
from segtrain.data.files.formats import format_of
from segtrain.data.files.nrrd import segment_names
from segtrain.data.masks.canvas import plain_name


def require_own_names(source: ScanSource, array: NDArray[np.integer[Any]], task: Task) -> None:
    """DataError where a mask calls an id by the name of another label of the task, and holds voxels of it."""
    if format_of(source.path) != "nrrd":
        return
    wanted = {plain_name(name): i for name, i in task.labels.items()}
    names = {i: name for i, name in segment_names(source.path).items() if wanted.get(plain_name(name), i) != i}
    if not set(np.unique(array).tolist()) & names.keys():
        return
    why = "; ".join(f"{name} is {i} here and {wanted[plain_name(name)]} in task.labels" for i, name in names.items())
    hint = "export label maps from 3D Slicer with one colour table, or set task.labels as all masks have them"
    raise DataError(Problem("a mask names its ids itself, and otherwise than the task", str(source), why, hint))
