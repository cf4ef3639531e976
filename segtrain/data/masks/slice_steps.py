"""How far apart the drawn slices of a mask lie: what was drawn on thick slices would be stripes on a thin scan.

A position says where a slice lies, and nothing of its thickness: every third slice of the scan may be a mask of thick
slices, or one that somebody drew sparsely. Either way the slices between would be taught as background.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from segtrain.core.errors import Problem

THICKER = 1.5
"""From so many steps of the scan on, slices that follow each other leave some of the scan's out."""
FEWEST_SLICES = 3
"""Two slices may be two small objects."""


def slices_apart(drawn: Iterable[int]) -> int:
    """k where each drawn slice is the k-th after the one before; 1 where what is drawn does not say so.

    Pieces of a structure may lie apart by more, so long as most steps are k, and all whole multiples of it.
    """
    at = np.unique(list(drawn))
    steps = np.diff(at)
    if len(at) < FEWEST_SLICES or (steps % steps.min()).any():
        return 1
    smallest = int(steps.min())
    return smallest if 2 * np.count_nonzero(steps == smallest) > len(steps) else 1


def drawn_on_thicker(path: Path, name: str, *, apart_mm: float, step_mm: float) -> Problem:
    """`name` was drawn on slices that are `apart_mm` apart, the scan's are `step_mm`."""
    why = (
        f"its slices are {apart_mm:.4g} mm apart, those of the scan {step_mm:.4g} mm: what lies between would be empty"
    )
    hint = (
        "give the scan that it was drawn on, or resample the mask onto this one; where only some slices were drawn on "
        "purpose, fill those between (3D Slicer: Fill between slices), or give the scan with the drawn slices alone"
    )
    return Problem(f"{name} was drawn on thicker slices than the scan has", str(path), why, hint)
