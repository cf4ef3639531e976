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

from segtrain.core.errors import DataError, GridMismatch, Problem, UnreadableScan, raise_all
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap
from segtrain.core.words import count
from segtrain.data.dicom.geometry import LPS_TO_RAS, POSITION_TOLERANCE, ROUNDING_MM
from segtrain.data.dicom.headers import dicom_errors
from segtrain.data.masks.canvas import Canvas, Meant, Painting, by_names, one_a_number, require_drawn_on_scan
from segtrain.data.masks.contours import Polygon, shape_of
from segtrain.data.masks.slice_steps import drawn_on_thicker, slices_apart

XOR = "CLOSEDPLANAR_XOR"
"""The kind that wants the even-odd rule whatever the outlines are; of others only inner ones are holes."""
CLOSED = ("CLOSED_PLANAR", XOR)
"""Kinds of contours that have an inside; points and open lines have none."""
FEWEST_POINTS = 3
LARGEST_OFF = 0.1
"""Share of a step by which an outline may lie off its slice: programs write heights with one decimal of a mm."""


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

    Points and open lines are left out, and so are outlines beyond the scan: the notes say how many. Outlines that cross
    are taken together, those that are there twice count once, which is said. Raises UnreadableScan; DataError without
    a grid, where names do not match or structures overlap; GridMismatch where an outline lies between slices or across
    them, or a structure all beyond the scan, in another frame of reference, or on every second, third ... slice alone.
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
    """Draw structure by structure; gives what there is to know, in words. Raises GridMismatch."""
    names, meant = who
    notes: list[str] = []
    problems: list[Problem] = []
    for number in meant.ids:
        own = [outline for outline in outlines if outline.number == number]
        found = _sorted_out([outline for outline in own if outline.has_inside], grid)
        problems += _faults(path, names[number], found, grid)
        kinds = Counter(outline.kind for outline in own if not outline.has_inside)
        said = (*_left_out(kinds, found), *_draw(number, found, grid, painting))
        notes += [f"{names[number]}: {text}" for text in said]
    raise_all(GridMismatch, problems)
    return notes


@dataclass(frozen=True, eq=False)
class _SortedOut:
    """Outlines of one structure, by where they lie."""

    number: int
    """How many there are."""
    slices: Mapping[int, list[tuple[str, Polygon]]]
    """On each slice their kinds, and their corners in voxels."""
    beyond: int
    cut: int
    off_mm: float
    """How far those that lie on slices lie off them at most, where that is more than rounding."""
    between_mm: list[float]
    """How far those that lie on no slice lie off it."""


def _sorted_out(outlines: Sequence[_Outline], grid: Grid) -> _SortedOut:
    """Outlines by slice."""
    inverse = np.linalg.inv(grid.affine)
    step_mm, last = grid.spacing_mm[2], np.array(grid.shape[:2]) - 0.5
    slices: dict[int, list[tuple[str, Polygon]]] = {}
    beyond, cut, off_mm, between = 0, 0, [], []
    for outline in outlines:
        index = outline.points_mm @ inverse[:3, :3].T + inverse[:3, 3]
        at = round(float(np.median(index[:, 2])))
        off = float(np.abs(index[:, 2] - at).max())
        low, high = index[:, :2].min(axis=0), index[:, :2].max(axis=0)
        if not 0 <= at < grid.shape[2] or (high < 0).any() or (low > last - 0.5).any():
            beyond += 1
        elif off > LARGEST_OFF:
            between.append(off * step_mm)
        else:
            cut += bool((low < -0.5).any() or (high > last).any())
            off_mm.append(off * step_mm)
            slices.setdefault(at, []).append((outline.kind, index[:, :2]))
    most = max(off_mm, default=0.0)
    told = most if most > max(POSITION_TOLERANCE * step_mm, ROUNDING_MM) else 0.0
    return _SortedOut(len(outlines), slices, beyond, cut, told, between)


def _draw(number: int, found: _SortedOut, grid: Grid, painting: Painting) -> Iterator[str]:
    """Draw a structure slice by slice; gives what there is to know of its outlines, in words."""
    crossing: list[int] = []
    repeated, voxels = 0, 0
    for at, drawn in sorted(found.slices.items()):
        xor = [corners for kind, corners in drawn if kind == XOR]
        shape = shape_of([corners for kind, corners in drawn if kind != XOR], xor, grid.shape[:2])
        x, y = np.nonzero(shape.inside)
        painting.draw(number, np.stack([x, y, np.full_like(x, at)]))
        crossing += [at] if shape.crossing else []
        repeated, voxels = repeated + shape.repeated, voxels + len(x)
    if crossing:
        yield f"outlines cross on {count(len(crossing), 'slice')}, as {crossing[0] + 1}, and are taken together there"
    if repeated:
        yield f"{repeated} contours are there twice, and count once"
    if found.number and not voxels:
        yield "no voxel has its centre within its outlines"


def _faults(path: Path, name: str, found: _SortedOut, grid: Grid) -> Iterator[Problem]:
    """Why a structure was drawn on no slices of this scan, or on those of another one."""
    step_mm = grid.spacing_mm[2]
    if found.between_mm:
        yield _between(path, name, found.between_mm)
    elif (apart := slices_apart(found.slices)) > 1:
        yield drawn_on_thicker(path, name, apart_mm=apart * step_mm, step_mm=step_mm)
    elif found.number and found.beyond == found.number:
        hint = "find the scan that it was drawn on"
        yield Problem(f"{name} lies beyond the scan", str(path), grid.describe(), hint)


def _between(path: Path, name: str, off_mm: Sequence[float]) -> Problem:
    why = f"{len(off_mm)} outlines lie up to {max(off_mm):.3g} mm beside a slice, or run across slices"
    hint = "find the scan that it was drawn on, or export the structure on the slices of this one"
    return Problem(f"{name} was not drawn on the slices of the scan", str(path), why, hint)


def _left_out(kinds: Counter[str], found: _SortedOut) -> Iterator[str]:
    """What of a structure is not in the mask, or not where it was drawn, in words."""
    for kind, times in kinds.items():
        yield f"{times} contours without an inside ({kind}) are left out"
    if found.beyond:
        yield f"{found.beyond} contours beyond the scan are left out"
    if found.cut:
        yield f"{found.cut} contours are cut at its border"
    if found.off_mm:
        yield f"its contours lie up to {found.off_mm:.2g} mm beside the slices, and are taken to be on them"
