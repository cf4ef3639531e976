"""The frames of a DICOM SEG, each with its own place: read with pydicom alone, as a viewer does.

A frame is never placed by its number: files leave out frames without a voxel, and list the others in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from segtrain.core.errors import Problem, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.data.dicom.geometry import LPS_TO_RAS
from segtrain.data.dicom.pixels import stored_values

LARGEST_SHIFT_VOXELS = 0.5
"""From here on a voxel of the mask lies on another one of the scan."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: numbers of segments (rows, columns) of a label map, or what belongs to one segment."""

    pixels: NDArray[Any]
    segment: int | None
    """None in a label map."""
    steps: NDArray[np.float64]
    """(3, 3): from column to column, from row to row, place of the first pixel; mm in RAS."""
    apart_mm: float | None = None
    """SpacingBetweenSlices."""
    thick_mm: float | None = None
    """SliceThickness. Slices may overlap, or leave gaps."""

    def onto(self, grid: Grid) -> tuple[NDArray[np.intp], NDArray[np.float64]] | None:
        """(3, 3) whole numbers that turn (column, row, 1) into an index of the grid, and how far off that is (3,).

        None where the pixels do not lie on voxels of the grid, or of its continuation. The offset is in voxels.
        """
        inverse = np.linalg.inv(grid.affine)
        exact = inverse[:3, :3] @ self.steps
        exact[:, 2] += inverse[:3, 3]
        whole = np.rint(exact)
        rows, columns = self.pixels.shape
        corners = np.array([[c, r, 1] for c in (0, columns - 1) for r in (0, rows - 1)], dtype=np.float64).T
        beside = (exact - whole) @ corners
        steps = np.abs(whole[:, :2]).sum(axis=0)
        if np.abs(beside).max() >= LARGEST_SHIFT_VOXELS or not (steps == 1).all():
            return None
        worst = beside[:, np.abs(beside).max(axis=0).argmax()]
        return whole.astype(np.intp), worst


def frames_of(path: Path, data: Any) -> Iterator[Frame]:
    """Every frame. Raises UnreadableScan where they are not all there, or do not say where they lie."""
    shared = (data.get("SharedFunctionalGroupsSequence") or [{}])[0]
    own = data.get("PerFrameFunctionalGroupsSequence") or []
    if len(own) != int(data.NumberOfFrames):
        hint = "save it as a SEG of a scan with slices; whole-slide microscopy is not read"
        raise UnreadableScan(Problem("the frames of a SEG do not say where they lie", str(path), hint=hint))
    is_map = str(data.SegmentationType) == "LABELMAP"
    for pixels, groups in zip(_pixels(path, data), own, strict=True):
        segment = None
        if not is_map:
            segment = int(_group(path, "SegmentIdentificationSequence", groups, shared).ReferencedSegmentNumber)
        measures = _group(path, "PixelMeasuresSequence", groups, shared)
        apart, thick = (_length_mm(measures, name) for name in ("SpacingBetweenSlices", "SliceThickness"))
        yield Frame(pixels, segment, _steps(path, groups, shared), apart, thick)


def _length_mm(measures: Any, name: str) -> float | None:
    """None where the element says nothing that a length may be."""
    length = float(measures.get(name) or 0)
    return length if np.isfinite(length) and length > 0 else None


def _steps(path: Path, own: Any, shared: Any) -> NDArray[np.float64]:
    orientation = _group(path, "PlaneOrientationSequence", own, shared).ImageOrientationPatient
    row, column = np.reshape([float(v) for v in orientation], (2, 3))
    measures = _group(path, "PixelMeasuresSequence", own, shared)
    between_rows, between_columns = (float(v) for v in measures.PixelSpacing)
    place = [float(v) for v in _group(path, "PlanePositionSequence", own, shared).ImagePositionPatient]
    steps: NDArray[np.float64] = LPS_TO_RAS[:3, :3] @ np.array([row * between_columns, column * between_rows, place]).T
    return steps


def _group(path: Path, name: str, own: Any, shared: Any) -> Any:
    """A functional group: what all frames have in common is said once. An empty one of a frame says nothing."""
    place = own if name in own and own[name].value else shared
    if name not in place or not place[name].value:
        why, hint = f"they have no {name}", "save it as a SEG of a scan with slices that have a position"
        raise UnreadableScan(Problem("the frames of a SEG do not say where they lie", str(path), why, hint))
    return place[name].value[0]


def _pixels(path: Path, data: Any) -> Iterator[NDArray[Any]]:
    """Frames (rows, columns). Bits are packed without a gap between frames, which pydicom cannot read one by one."""
    shape, number = (int(data.Rows), int(data.Columns)), int(data.NumberOfFrames)
    if UID(data.file_meta.TransferSyntaxUID).is_encapsulated:
        yield from stored_values(path, data).reshape((number, *shape))
        return
    count, bits = shape[0] * shape[1], int(data.BitsAllocated)
    stored = np.frombuffer(data.PixelData, dtype="<u2" if bits == 16 else np.uint8)
    if _values(stored, bits) < count * number:
        why = f"{count * number} values are announced, {_values(stored, bits)} are there"
        raise UnreadableScan(Problem("a DICOM file is truncated", str(path), why, "copy it again from its source"))
    for first in range(0, count * number, count):
        if bits == 1:
            packed = np.unpackbits(stored[first // 8 : -(-(first + count) // 8)], bitorder="little")
            yield packed[first % 8 : first % 8 + count].reshape(shape)
        else:
            yield stored[first : first + count].reshape(shape)


def _values(stored: NDArray[Any], bits: int) -> int:
    return len(stored) * 8 if bits == 1 else len(stored)
