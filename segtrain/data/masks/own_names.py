"""Masks that say themselves what their ids are: `.seg.nrrd` of 3D Slicer, which numbers segments in their order.

So the liver is 1 in one mask and 2 in the next, and both are read without a word where only ids are compared.
`.mha` and `.mhd` may say it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.task import Task
from segtrain.data.files import meta_image, nrrd
from segtrain.data.files.formats import Kind, format_of
from segtrain.data.masks.canvas import GENERIC, plain_name

NAMES: Mapping[Kind, Callable[[Path], Mapping[int, str]]] = {
    "nrrd": nrrd.segment_names,
    "mha": meta_image.segment_names,
}
"""Kinds of files that may name their ids -> who reads the names."""


def require_own_names(source: ScanSource, array: NDArray[np.integer[Any]], task: Task) -> tuple[str, ...]:
    """A note for names that are those of no label, as "Spleen" of what is read as the liver.

    Names that nobody gave ("Segment_1") say nothing. Raises DataError where a mask calls an id by the name of another
    label of the task, and holds voxels of it.
    """
    kind = format_of(source.path)
    own = NAMES[kind](source.path) if kind and kind in NAMES else {}
    if not own:
        return ()
    drawn = set(np.unique(array).tolist())
    wanted = {plain_name(name): i for name, i in task.labels.items()}
    swapped = {i: name for i, name in own.items() if wanted.get(plain_name(name), i) != i}
    if drawn & swapped.keys():
        why = "; ".join(f"{n} is {i} here and {wanted[plain_name(n)]} in task.labels" for i, n in swapped.items())
        hint = "export label maps from 3D Slicer with one colour table, or set task.labels as all masks have them"
        raise DataError(Problem("a mask names its ids itself, and otherwise than the task", str(source), why, hint))
    labels = {i: name for name, i in task.labels.items() if i in drawn & own.keys()}
    odd = [
        f"{own[i]} ({i}) is read as {label}"
        for i, label in labels.items()
        if plain_name(own[i]) not in wanted and not GENERIC.fullmatch(own[i].strip())
    ]
    return (f"the mask has other names than the task: {', '.join(odd)}",) if odd else ()
