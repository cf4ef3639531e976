"""Whether a DICOM SEG holds the mask that it was made of: read with pydicom alone, frame by frame, as a viewer does.

The library that wrote it has no say in this. Each frame is laid onto the grid of the scan by its own position; so a
mask that was mirrored or shifted on the way is seen, and never leaves the house.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segtrain.core.errors import DataError, Problem
from segtrain.core.grid import Grid
from segtrain.data.dicom.headers import dicom_errors
from segtrain.data.dicom.seg_frames import frames_of

HINT = "take another format of masks, as nii.gz, and report this"


def require_same(path: Path, segments: NDArray[np.uint8], grid: Grid, names: Sequence[str], *, shown: Path) -> None:
    """DataError where a file of uncompressed frames does not hold `segments` (X, Y, Z) on `grid`, voxel for voxel.

    `names` are those of the segments, background first; `shown` is where the file is going to lie.
    """
    with dicom_errors(shown):
        found = _segments(pydicom.dcmread(path), grid, shown)
    if np.array_equal(found, segments):
        return
    differing = [n for n in range(1, len(names)) if not np.array_equal(found == n, segments == n)]
    why = "; ".join(f"{names[n]}: {_difference(found == n, segments == n, grid)}" for n in differing[:3])
    raise DataError(Problem("the DICOM SEG does not hold the mask", str(shown), why, HINT))


def _segments(data: Any, grid: Grid, shown: Path) -> NDArray[np.uint8]:
    """Numbers of segments (X, Y, Z), 0 where there is none; DataError where a frame lies beside the grid's slices."""
    found = np.zeros(grid.shape, dtype=np.uint8)
    for frame in frames_of(shown, data):
        placed = frame.onto(grid)
        row, column = np.indices(frame.pixels.shape).reshape(2, -1)
        index = None if placed is None else placed[0] @ np.stack([column, row, np.ones_like(row)])
        if index is None or (index < 0).any() or (index >= np.array(grid.shape)[:, None]).any():
            raise DataError(Problem("a frame of the DICOM SEG lies beside the scan", str(shown), hint=HINT))
        numbers = frame.pixels[row, column].astype(np.uint8) * np.uint8(frame.segment or 1)
        at = (index[0], index[1], index[2])
        found[at] = np.maximum(found[at], numbers)
    return found


def _difference(found: NDArray[np.bool_], drawn: NDArray[np.bool_], grid: Grid) -> str:
    """How a label differs, in words."""
    count, wanted = int(found.sum()), int(drawn.sum())
    if not count or not wanted:
        return f"{count} voxels instead of {wanted}"
    centres = [grid.positions_mm(np.argwhere(mask).mean(axis=0)[None].astype(np.float64))[0] for mask in (found, drawn)]
    shift = float(np.linalg.norm(centres[0] - centres[1]))
    return f"{count} voxels instead of {wanted}, its centre {shift:.3g} mm away"
