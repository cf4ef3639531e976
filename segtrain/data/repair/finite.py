"""Voxels that are no numbers: refused with their count, or given a value where that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import Problem, UnreadableScan
from segtrain.data.repair.repairs import how_to

Array = NDArray[Any]


def plain_type(array: Array) -> Array:
    """Whole numbers as they are, others as float32; what that does not hold becomes infinite."""
    if array.dtype.kind in "iu":
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(np.float32, copy=False)


def require_finite(path: Path, array: Array) -> None:
    """UnreadableScan where some values are NaN or infinite."""
    broken = int(np.count_nonzero(broken_in(array)))
    if broken:
        why = f"{broken} of {array.size} voxels are NaN or infinite"
        raise UnreadableScan(Problem("some voxels are not numbers", str(path), why, how_to("nan")))


def filled(array: Array, value: float) -> tuple[Array, int]:
    """The values with `value` for those that are NaN or infinite, and how many those are."""
    broken = broken_in(array)
    count = int(np.count_nonzero(broken))
    return (np.where(broken, array.dtype.type(value), array), count) if count else (array, 0)


def broken_in(array: Array) -> NDArray[np.bool_]:
    """Which values are NaN or infinite: none of whole numbers."""
    return np.zeros(array.shape, dtype=bool) if array.dtype.kind in "iub" else ~np.isfinite(array)
