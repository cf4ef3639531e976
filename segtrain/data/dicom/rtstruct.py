"""The border to RTSTRUCT as a mask: outlines of structures -> a label map on the grid of the scan.

Outlines are turned into indices of the grid, so that oblique scans need no care of their own, and each must lie on a
slice of it: nothing is interpolated between planes. Within a slice `contours` fills them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segtrain.core.errors import DataError, GridMismatch, Problem, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.geometry import LPS_TO_RAS, POSITION_TOLERANCE, ROUNDING_MM
from segtrain.data.dicom.headers import dicom_errors
from segtrain.data.masks.canvas import Canvas, Meant, Painting, by_names, one_a_number, require_drawn_on_scan
from segtrain.data.masks.contours import filled

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Kinds of contours that have an inside; points and open lines have none."""
FEWEST_POINTS = 3


@dataclass(frozen=True, eq=False)
class _Outline:
    """One contour of a structure."""

    number: int
    kind: str
    points_mm: NDArray[np.float64]
    """(N, 3) in RAS."""

    @property
    def has_inside(self) -> bool:
        """Whether there is anything to fill."""
        return self.kind in CLOSED and len(self.points_mm) >= FEWEST_POINTS


def read_rtstruct(path: Path, canvas: Canvas) -> LabelMap:
    """The mask on the grid of the canvas. A structure without contours is empty.

    Points and open lines are left out, and so are outlines beyond the scan: the notes say how many. Raises
    UnreadableScan; DataError without a grid, where names do not match or structures overlap; GridMismatch where an
    outline lies between slices or across them, or a structure all beyond the scan, or in another frame of reference.
    """
    if canvas.grid is None:
        hint = "an RTSTRUCT is read together with the scan that it was drawn on, or with a mask on its grid"
        raise DataError(Problem("an RTSTRUCT has no voxels", str(path), hint=hint))
    with dicom_errors(path):
        data = pydicom.dcmread(path)
        names = _names(path, data)
        meant = by_names(path, names, canvas)
        frames, series = _frames(data, meant.ids), _series(data)
        notes = require_drawn_on_scan(path, canvas, frames=frames, series=series)
        outlines = list(_outlines(path, data, meant.ids))
    if canvas.evened is not None:
        outlines = [replace(one, points_mm=canvas.evened.straightened(one.points_mm)) for one in outlines]
    painting = Painting(path, names, meant, canvas.grid)
    notes += _draw_all(path, outlines, (names, meant), canvas.grid, painting)
    return painting.finished(canvas.grid, notes)


def structure_names(path: Path) -> dict[int, str]:
    """Number -> name of each structure. Raises UnreadableScan."""
    with dicom_errors(path):
        return _names(path, pydicom.dcmread(path))


def _names(path: Path, data: Any) -> dict[int, str]:
    """Raises UnreadableScan where structures, or their contours, share a number."""
    named = [(int(r.ROINumber), str(r.get("ROIName", "") or "")) for r in data.get("StructureSetROISequence") or []]
    names = one_a_number(path, named, "structure")
    drawn = Counter(int(roi.ReferencedROINumber) for roi in data.get("ROIContourSequence") or [])
    if twice := [names.get(number, f"number {number}") for number, times in drawn.items() if times > 1]:
        what = f"the contours of {', '.join(twice)} are there twice"
        raise UnreadableScan(Problem(what, str(path), "which of them are meant, nobody knows", "export it again"))
    return names


def _frames(data: Any, wanted: Container[int]) -> list[str]:
    """UIDs of the frames of reference of these structures."""
    structures = [roi for roi in data.get("StructureSetROISequence") or [] if int(roi.ROINumber) in wanted]
    return [str(roi.get("ReferencedFrameOfReferenceUID", "") or "") for roi in structures]


def _series(data: Any) -> list[str]:
    """UIDs of all series that the file refers to."""
    found = [data]
    for name in ("ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence"):
        found = [item for above in found for item in above.get(name) or []]
    return [str(item.get("SeriesInstanceUID", "") or "") for item in found]


def _outlines(path: Path, data: Any, wanted: Container[int]) -> Iterator[_Outline]:
    """Every contour of these structures. Raises UnreadableScan where its points cannot be known."""
    for roi in data.get("ROIContourSequence") or []:
        number = int(roi.ReferencedROINumber)
        for contour in (roi.get("ContourSequence") or []) if number in wanted else []:
            numbers = _contour_data(contour)
            if len(numbers) % 3 or not np.isfinite(numbers).all():
                why = f"a contour of structure {number} has {len(numbers)} numbers, which make no points"
                raise UnreadableScan(Problem("an RTSTRUCT is damaged", str(path), why, "export it again"))
            points = numbers.reshape(-1, 3) @ LPS_TO_RAS[:3, :3]
            yield _Outline(number, str(contour.get("ContourGeometricType", "")), points)


def _contour_data(contour: Any) -> NDArray[np.float64]:
    """The numbers of a contour, from its bytes: pydicom makes an object of each, which takes most of the time."""
    found = contour.get_item("ContourData") if "ContourData" in contour else None
    value = None if found is None else found.value
    words = value.split(b"\\") if isinstance(value, bytes) else (value or [])
    return np.array([float(word) for word in words])


def _draw_all(
    path: Path, outlines: Sequence[_Outline], who: tuple[Mapping[int, str], Meant], grid: Grid, painting: Painting
) -> list[str]:
    """Draw structure by structure, slice by slice; gives what was left out, in words."""
    names, meant = who
    notes: list[str] = []
    problems: list[Problem] = []
    for number in meant.ids:
        own = [outline for outline in outlines if outline.number == number]
        drawn = [outline for outline in own if outline.has_inside]
        sorted_out = _sorted_out(drawn, grid)
        if sorted_out.between_mm:
            problems.append(_between(path, names[number], sorted_out.between_mm))
        elif drawn and sorted_out.beyond == len(drawn):
            hint = "find the scan that it was drawn on"
            problems.append(Problem(f"{names[number]} lies beyond the scan", str(path), grid.describe(), hint))
        notes += _left_out(names[number], Counter(o.kind for o in own if not o.has_inside), sorted_out)
        voxels = 0
        for at, polygons in sorted_out.slices.items():
            x, y = np.nonzero(filled(polygons, grid.shape[:2]))
            painting.draw(number, np.stack([x, y, np.full_like(x, at)]))
            voxels += len(x)
        notes += [f"{names[number]}: no voxel has its centre within its outlines"] if drawn and not voxels else []
    if problems:
        raise GridMismatch(*problems)
    return notes


@dataclass(frozen=True, eq=False)
class _SortedOut:
    """Outlines of one structure, by where they lie."""

    slices: Mapping[int, list[NDArray[np.float64]]]
    """(N, 2) in voxels."""
    beyond: int
    cut: int
    between_mm: list[float]
    """How far those that lie on no slice lie off it."""


def _sorted_out(outlines: Sequence[_Outline], grid: Grid) -> _SortedOut:
    """Outlines by slice. One that is there twice is taken once: even-odd would make nothing of it."""
    inverse = np.linalg.inv(grid.affine)
    step_mm, last = grid.spacing_mm[2], np.array(grid.shape[:2]) - 0.5
    tolerance = max(POSITION_TOLERANCE, ROUNDING_MM / step_mm)
    slices: dict[int, dict[bytes, NDArray[np.float64]]] = {}  # on each, outlines by their edges
    beyond, cut, between = 0, 0, []
    for outline in outlines:
        index = outline.points_mm @ inverse[:3, :3].T + inverse[:3, 3]
        at = round(float(np.median(index[:, 2])))
        off = float(np.abs(index[:, 2] - at).max())
        low, high = index[:, :2].min(axis=0), index[:, :2].max(axis=0)
        if not 0 <= at < grid.shape[2] or (high < 0).any() or (low > last - 0.5).any():
            beyond += 1
        elif off > tolerance:
            between.append(off * step_mm)
        else:
            cut += bool((low < -0.5).any() or (high > last).any())
            slices.setdefault(at, {})[_edges(outline.points_mm)] = index[:, :2]
    return _SortedOut({at: list(found.values()) for at, found in slices.items()}, beyond, cut, between)


def _edges(points_mm: NDArray[np.float64]) -> bytes:
    """The same for the same outline, wherever it begins, whichever way it runs, and whether or not it is closed twice.

    What even-odd makes of an outline depends on its edges alone, without order or direction.
    """
    ends = np.stack([points_mm, np.roll(points_mm, -1, axis=0)], axis=1) + 0.0  # -0 is 0
    ends = ends[(ends[:, 0] != ends[:, 1]).any(axis=1)]
    ways = ends[:, 0] - ends[:, 1]
    first = (ways != 0).argmax(axis=1)[:, None]  # the coordinate by which one end goes before the other
    backward = np.take_along_axis(ways, first, axis=1)[:, 0] > 0
    ends[backward] = ends[backward][:, ::-1]
    edges = ends.reshape(-1, 6)
    ordered: NDArray[np.float64] = edges[np.lexsort(edges.T)]
    return ordered.tobytes()


def _between(path: Path, name: str, off_mm: Sequence[float]) -> Problem:
    why = f"{len(off_mm)} outlines lie up to {max(off_mm):.3g} mm beside a slice, or run across slices"
    hint = "find the scan that it was drawn on, or export the structure on the slices of this one"
    return Problem(f"{name} was not drawn on the slices of the scan", str(path), why, hint)


def _left_out(name: str, kinds: Counter[str], found: _SortedOut) -> list[str]:
    """What of a structure is not in the mask, in words."""
    notes = [f"{name}: {count} contours without an inside ({kind}) are left out" for kind, count in kinds.items()]
    notes += [f"{name}: {found.beyond} contours beyond the scan are left out"] if found.beyond else []
    return notes + ([f"{name}: {found.cut} contours are cut at its border"] if found.cut else [])
