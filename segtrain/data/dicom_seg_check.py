"""Whether a DICOM SEG holds the mask that it was made of: read with pydicom alone, frame by frame, as a viewer does.

The library that wrote it has no say in this. Each frame is laid onto the grid of the scan by its own position; so a
mask that was mirrored or shifted on the way is seen, and never leaves the house.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segtrain.core.errors import DataError, Problem
from segtrain.core.grid import Grid
from segtrain.data.dicom_geometry import LPS_TO_RAS
from segtrain.data.dicom_headers import dicom_errors

LARGEST_SHIFT_VOXELS = 0.5
"""From here on a voxel of the mask lies on another one of the scan."""
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
    (shared,) = data.SharedFunctionalGroupsSequence
    for frame, own in zip(_frames(data), data.PerFrameFunctionalGroupsSequence, strict=True):
        at = _slice_of(own, shared, grid)
        if frame.T.shape != grid.shape[:2] or at is None:
            raise DataError(Problem("a frame of the DICOM SEG lies beside the scan", str(shown), hint=HINT))
        numbers = frame.T.astype(np.uint8)
        if data.SegmentationType == "BINARY":
            numbers *= np.uint8(_group("SegmentIdentificationSequence", own, shared).ReferencedSegmentNumber)
        np.maximum(found[:, :, at], numbers, out=found[:, :, at])
    return found


def _frames(data: Any) -> Iterator[NDArray[Any]]:
    """Frames (rows, columns). Bits are packed without a gap between frames, which pydicom cannot read one by one."""
    shape = int(data.Rows), int(data.Columns)
    count, stored = shape[0] * shape[1], np.frombuffer(data.PixelData, dtype=np.uint8)
    for number in range(int(data.NumberOfFrames)):
        first, end = number * count, (number + 1) * count
        if data.BitsAllocated == 1:
            bits = np.unpackbits(stored[first // 8 : -(-end // 8)], bitorder="little")
            yield bits[first % 8 : first % 8 + count].reshape(shape)
        else:
            yield stored[first:end].reshape(shape)


def _group(name: str, own: Any, shared: Any) -> Any:
    """A functional group: what all frames have in common is said once."""
    return (own if name in own else shared)[name].value[0]


def _slice_of(own: Any, shared: Any, grid: Grid) -> int | None:
    """Index of the slice on which a frame lies, voxel on voxel; None where there is none."""
    orientation = _group("PlaneOrientationSequence", own, shared).ImageOrientationPatient
    row, column = np.reshape([float(v) for v in orientation], (2, 3))
    between_rows, between_columns = (float(v) for v in _group("PixelMeasuresSequence", own, shared).PixelSpacing)
    place = np.array([float(v) for v in _group("PlanePositionSequence", own, shared).ImagePositionPatient])
    across, down = grid.shape[0] - 1, grid.shape[1] - 1
    along_row, along_column = row * between_columns * across, column * between_rows * down
    corners = np.stack([place, place + along_row, place + along_column])
    index = (corners @ LPS_TO_RAS[:3, :3] - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    at = round(float(index[0, 2]))
    wanted = np.array([[0, 0, at], [across, 0, at], [0, down, at]])
    on_grid = 0 <= at < grid.shape[2] and bool(np.abs(index - wanted).max() < LARGEST_SHIFT_VOXELS)
    return at if on_grid else None


def _difference(found: NDArray[np.bool_], drawn: NDArray[np.bool_], grid: Grid) -> str:
    """How a label differs, in words."""
    count, wanted = int(found.sum()), int(drawn.sum())
    if not count or not wanted:
        return f"{count} voxels instead of {wanted}"
    centres = [grid.positions_mm(np.argwhere(mask).mean(axis=0)[None].astype(np.float64))[0] for mask in (found, drawn)]
    shift = float(np.linalg.norm(centres[0] - centres[1]))
    return f"{count} voxels instead of {wanted}, its centre {shift:.3g} mm away"
