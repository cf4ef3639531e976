"""The border to DICOM SEG as a mask: segments -> a label map on the grid of the scan, placed by their positions.

Binary segments, label maps, and fractional ones whose values are all 0 or the largest are read; other fractions are
probabilities, and where they become a mask is not ours to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segtrain.core.errors import DataError, GridMismatch, Problem, UnreadableScan, raise_all
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.headers import dicom_errors
from segtrain.data.dicom.seg_frames import Frame, frames_of
from segtrain.data.dicom.seg_steps import even_grid, note_of_step, thicker_than
from segtrain.data.masks.canvas import Canvas, Painting, by_names, by_numbers, one_a_number, require_drawn_on_scan


def read_seg(path: Path, canvas: Canvas) -> LabelMap:
    """The mask on the canvas's grid, or where it has none, on the smallest one that holds all frames.

    Where the frames lie up to half a voxel beside the voxels of the scan, so does the grid of the mask. Raises
    UnreadableScan; DataError where names do not match, segments overlap, or values are fractions; GridMismatch where
    pixels lie on no voxel of the scan, outside it, in another frame of reference, or were drawn on thicker slices.
    """
    with dicom_errors(path):
        data = pydicom.dcmread(path)
        series = [str(item.get("SeriesInstanceUID", "") or "") for item in data.get("ReferencedSeriesSequence") or []]
        frame_uid = str(data.get("FrameOfReferenceUID", "") or "")
        notes = require_drawn_on_scan(path, canvas, frames=[frame_uid], series=series)
        names = _names(path, data)
        meant = by_numbers(names, canvas) or by_names(path, names, canvas)
        frames = [_straightened(path, frame, canvas) for frame in frames_of(path, data)]
        full = _full_value(data)
    _require_segments(path, frames, names)
    grid = canvas.grid or even_grid(path, frames)
    if canvas.grid is not None:
        raise_all(GridMismatch, thicker_than(path, frames, {number: names[number] for number in meant.ids}, grid))
    if not canvas.scan and (note := note_of_step(frames, grid)):
        notes.append(note)
    painting = Painting(path, names, meant, grid)
    order = {number: place for place, number in enumerate(meant.ids)}
    worst = np.zeros(3)
    for frame in sorted(frames, key=lambda f: order.get(f.segment or 0, 0)):
        worst = max(worst, _draw(path, frame, full, painting, (grid, order)), key=lambda off: np.abs(off).max())
    return painting.finished(_moved(grid, worst), notes)


def segment_names(path: Path) -> dict[int, str]:
    """Number -> label of each segment. Raises UnreadableScan."""
    with dicom_errors(path):
        return _names(path, pydicom.dcmread(path, stop_before_pixels=True))


def _names(path: Path, data: Any) -> dict[int, str]:
    """A label map may call its background number 0, which is no segment."""
    segments = [(int(s.SegmentNumber), str(s.get("SegmentLabel", "") or "")) for s in data.get("SegmentSequence") or []]
    return one_a_number(path, [(number, name) for number, name in segments if number], "segment")


def seg_grid(paths: Sequence[Path]) -> Grid:
    """The smallest grid that holds the frames of all these files. Raises UnreadableScan, GridMismatch."""
    frames: list[Frame] = []
    for path in paths:
        with dicom_errors(path):
            frames += frames_of(path, pydicom.dcmread(path))
    return even_grid(paths[0], frames)


def _straightened(path: Path, frame: Frame, canvas: Canvas) -> Frame:
    """The frame as it lies on the canvas, whose slots stand for slices that lie anywhere. Raises GridMismatch."""
    if canvas.evened is None:
        return frame
    rows, columns = frame.pixels.shape
    if canvas.evened.leans_out(frame.steps[:, :2], (columns, rows)):
        hint = "save it with a frame for each slice of the scan"
        raise GridMismatch(Problem("the frames of a SEG run across the slices of the scan", str(path), hint=hint))
    place = canvas.evened.straightened(frame.steps[:, 2][np.newaxis])[0]
    return replace(frame, steps=np.column_stack([frame.steps[:, :2], place]), apart_mm=None)  # not on straight slots


def _require_segments(path: Path, frames: Sequence[Frame], names: Mapping[int, str]) -> None:
    """DataError where a frame belongs to a segment, or a label map holds a number, that the file does not describe."""
    found = {frame.segment for frame in frames if frame.segment is not None}
    for frame in frames:
        if frame.segment is None:
            found |= set(np.unique(frame.pixels).tolist()) - {0}
    if unknown := sorted(found - set(names)):
        why = f"numbers {', '.join(map(str, unknown[:8]))}, of segments {', '.join(map(str, names)) or 'none'}"
        raise DataError(Problem("a SEG holds segments that it does not describe", str(path), why, "export it again"))


def _draw(
    path: Path, frame: Frame, full: int | None, painting: Painting, on: tuple[Grid, dict[int, int]]
) -> NDArray[np.float64]:
    """Draw one frame; gives how far its pixels lie beside the voxels."""
    grid, wanted = on
    row, column = np.nonzero(frame.pixels)
    if not len(row) or (frame.segment is not None and frame.segment not in wanted):
        return np.zeros(3)
    values = frame.pixels[row, column]
    if full is not None and (values != full).any():
        hint = "apply a threshold with another tool, and save it as a binary SEG or as NIfTI"
        raise DataError(Problem("a SEG holds fractions", str(path), f"values as {values[values != full][0]}", hint))
    placed = frame.onto(grid)
    if placed is None:
        hint = "resample the mask onto the grid of the scan, or find the scan that it was drawn on"
        raise GridMismatch(Problem("the mask is not on the grid of the scan", str(path), grid.describe(), hint))
    index = placed[0] @ np.stack([column, row, np.ones_like(row)])
    if (index < 0).any() or (index >= np.array(grid.shape)[:, None]).any():
        outside = int(((index < 0) | (index >= np.array(grid.shape)[:, None])).any(axis=0).sum())
        hint = "find the scan that it was drawn on"
        raise GridMismatch(Problem("the mask reaches beyond the scan", str(path), f"{outside} voxels in a frame", hint))
    numbers = values if frame.segment is None else np.full(len(row), frame.segment)
    for number in np.unique(numbers).tolist():
        if number in wanted:
            painting.draw(number, index[:, numbers == number])
    return placed[1]


def _full_value(data: Any) -> int | None:
    """What a voxel that belongs to a segment holds; None in a label map. UnreadableScan for kinds of the future."""
    kind = str(data.SegmentationType)
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise UnreadableScan(Problem(f"a SEG of the type {kind} is not read", hint="save it as a binary SEG"))
    return {"BINARY": 1, "FRACTIONAL": int(data.get("MaximumFractionalValue", 255)), "LABELMAP": None}[kind]


def _moved(grid: Grid, voxels: NDArray[np.float64]) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ voxels
    return Grid(grid.shape, affine)
