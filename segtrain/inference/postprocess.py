"""What is taken out of a mask before it is written: components that are not the largest, or too small.

Voxels are connected by faces, edges and corners (26). What goes becomes background, never another label. A region
stands for all its labels, as one: what is not connected to the rest of the region goes whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.nearest import did_you_mean
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.inference.settings import PostprocessSettings

CONNECTED = np.ones((3, 3, 3), dtype=bool)

Sizes = NDArray[np.int64]
"""Voxels of each component."""


def require_known(settings: PostprocessSettings, task: Task) -> None:
    """ConfigError that names every label in the settings which the task does not have."""
    known = _members(task)
    named = [("keep_largest", name) for name in settings.keep_largest]
    named += [("min_volume_mm3", name) for name in settings.min_volume_mm3]
    problems = [
        Problem(
            f"{name!r} is no label that can be post-processed",
            f"inference.postprocess.{key}",
            hint=did_you_mean(name, tuple(known), "label"),
        )
        for key, name in named
        if name not in known
    ]
    raise_all(ConfigError, problems)


def postprocessed(mask: LabelMap, task: Task, settings: PostprocessSettings) -> LabelMap:
    """The mask without what the settings take out: first `keep_largest`, then `min_volume_mm3`, in their order.

    Of components of one size the one that comes first in the array is the largest. ConfigError as `require_known`.
    """
    if not settings.keep_largest and not settings.min_volume_mm3:
        return mask
    require_known(settings, task)
    members = _members(task)
    voxel_mm3 = 1000 * mask.grid.voxel_volume_ml
    array = mask.array.copy()
    for name in settings.keep_largest:
        _take_out(array, members[name], _all_but_the_largest)
    for name, smallest_mm3 in settings.min_volume_mm3.items():
        _take_out(array, members[name], partial(_smaller_than, smallest_mm3 / voxel_mm3))
    return LabelMap(array, mask.grid)


def _members(task: Task) -> dict[str, tuple[int, ...]]:
    """Name -> ids: the foreground labels, and the regions. A region with the name of a label goes first."""
    labels = {name: (task.labels[name],) for name in task.names[1:]}
    regions = {name: tuple(task.ids[index] for index in own) for name, own in task.structures.items()}
    return {**labels, **regions}


def _all_but_the_largest(sizes: Sizes) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(sizes)) != sizes.argmax())


def _smaller_than(voxels: float, sizes: Sizes) -> NDArray[np.bool_]:
    return np.asarray(sizes < voxels - 1e-6)  # mm3 over a voxel's are no exact number of voxels


def _take_out(array: NDArray[Any], ids: tuple[int, ...], goes: Callable[[Sizes], NDArray[np.bool_]]) -> None:
    """Set the components of `ids` that go to 0, in place; nothing is looked at outside of their bounding box."""
    there = np.isin(array, ids)
    if not there.any():
        return
    (box,) = ndimage.find_objects(there.view(np.uint8))
    components, count = ndimage.label(there[box], structure=CONNECTED)
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    gone = np.concatenate([[False], goes(sizes)])
    array[box][gone[components]] = 0
