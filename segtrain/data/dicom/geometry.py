"""Where the slices of a DICOM series lie, and every reason not to believe it.

Slices are sorted by their position along the normal. A series whose slices do not lie on one regular grid is
refused with the place in mm, and mended only where that is asked for (`dicom.repair`): other readers stretch the
spacing over a gap without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import Problem, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.data.dicom.records import SliceHeader
from segtrain.data.repair.repairs import RepairName, how_to

Headers = Sequence[SliceHeader]
Vector = NDArray[np.float64]

POSITION_TOLERANCE = 0.01
"""Share of the slice distance by which a slice may lie beside its place (evaluation.md, 5.1)."""
ROUNDING_MM = 0.01
"""Positions are often written with two decimals: so far off is no fault, however thin the slices."""
SAME_DIRECTION = 0.002
"""Two directions (unit vectors) closer than this, 0.1 degrees, are one; masks often hold six decimals."""
CLEARLY_ANOTHER = 0.17
"""From here on, about 10 degrees, a slice is of another stack; one that is turned by less belongs to a damaged scan."""
LARGEST_TILT_DEGREES = 0.5
"""Beyond it the slices are sheared. Up to it the true step is kept in the affine, so no voxel is moved."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class StepFault:
    """Why slices lie on no regular grid."""

    problem: Problem
    repair: RepairName | None = None
    """What mends it where it is asked for; None: nothing does."""


@dataclass(frozen=True)
class Steps:
    """The slices in order along the normal, and the way from one to the next."""

    headers: tuple[SliceHeader, ...]
    along_mm: NDArray[np.float64]
    """(n - 1,) distances along the normal."""
    aside_mm: NDArray[np.float64]
    """(n - 1, 3) what is left of each step, within the slice plane."""

    @property
    def usual_mm(self) -> float:
        """The median step: SliceThickness says how thick a slice is, not how far the next one."""
        return float(np.median(self.along_mm))


def faults_of_files(folder: Path, headers: Headers) -> Iterator[Problem]:
    """What can be said without looking at the positions."""
    first = headers[0]
    if first.frames > 1 and not any(header.frame for header in headers):
        why = f"it has {first.frames} frames, and no functional groups that say where each lies"
        hint = "export it as single slices, or convert it to NIfTI (dcm2niix)"
        yield Problem("the frames of a file do not say where they lie", str(first.path), why, hint)
        return
    if first.samples > 1 or first.photometric == "PALETTE COLOR":
        why = f"it has {first.samples} samples a voxel ({first.photometric})"
        yield Problem("the series is in colour", str(folder), why, "use the scan itself, not a coloured copy of it")
        return
    for header in headers:
        if missing := _missing_elements(header):
            why = f"it has no usable {missing}"
            yield Problem("a slice does not say where it lies", str(header.path), why, "leave it out")
    yield from _mixtures(folder, headers)


def largest_stack(headers: Headers) -> tuple[list[SliceHeader], str]:
    """The slices without a localizer among them, and a note that names what was left out.

    Slices of one size and direction are a stack. One that has more slices than all others together is meant; where
    there is none, all are kept, and `faults_of_files` refuses the mixture. So it does where slices of a stack are
    turned a little against each other: without those that are, the scan would be a part of itself.
    """
    stacks: list[list[SliceHeader]] = []
    for header in headers:
        stack = next((s for s in stacks if _is_like(s[0], header)), None)
        if stack is None:
            stacks.append([header])
        else:
            stack.append(header)
    largest = max(stacks, key=len)
    others = [header for stack in stacks if stack is not largest for header in stack]
    if not others or len(largest) <= max(len(others), 2):
        return list(headers), ""
    what = "slices of another size or direction are left out (a localizer?)"
    return largest, f"{len(others)} {what}, as {others[0].name}"


def _is_like(one: SliceHeader, other: SliceHeader) -> bool:
    return one.size == other.size and not _differ(one.directions, other.directions, CLEARLY_ANOTHER)


def _missing_elements(header: SliceHeader) -> str:
    place, directions, spacing = header.position_mm, header.directions, header.spacing_mm
    square = directions is not None and np.allclose(directions @ directions.T, np.eye(2), atol=0.01)
    usable = {
        "ImagePositionPatient": place is not None,
        "ImageOrientationPatient": square,
        "PixelSpacing": spacing is not None and min(spacing) > 0,
    }
    return ", ".join(name for name, fine in usable.items() if not fine)


def _mixtures(folder: Path, headers: Headers) -> Iterator[Problem]:
    """Sizes, spacings, directions, frames of reference that differ within the series."""
    first = headers[0]
    hint = "this is often a localizer within the series: move those slices to another folder"
    differing = [
        ("image sizes", [h for h in headers if h.size != first.size]),
        ("pixel spacings", [h for h in headers if _differ(h.spacing_mm, first.spacing_mm, 1e-3)]),
        ("orientations", [h for h in headers if _differ(h.directions, first.directions, SAME_DIRECTION)]),
        ("frames of reference", [h for h in headers if h.frame_uid != first.frame_uid]),
        ("photometric interpretations", [h for h in headers if h.photometric != first.photometric]),
    ]
    for name, others in differing:
        if others:
            example = f"{others[0].path.name} from {first.path.name}"
            why = f"{len(others)} of {len(headers)} slices differ, as {example}"
            yield Problem(f"the series mixes {name}", str(folder), why, hint)


def _differ(one: Any, other: Any, tolerance: float) -> bool:
    if one is None or other is None:
        return False
    return bool(np.linalg.norm(np.asarray(one) - np.asarray(other), axis=-1).max() > tolerance)


def geometry(header: SliceHeader) -> tuple[Vector, Vector, tuple[float, float]]:
    """Position, directions (2, 3) and spacing, in LPS, of a slice that was checked to have them."""
    if header.position_mm is None or header.directions is None or header.spacing_mm is None:
        raise ValueError(f"{header.path} was not checked")
    return header.position_mm, header.directions, header.spacing_mm


def _normal(header: SliceHeader) -> Vector:
    row, column = geometry(header)[1]
    normal = np.cross(row, column)
    unit: Vector = normal / np.linalg.norm(normal)
    return unit


def sorted_slices(headers: Headers) -> Steps:
    """The slices by position along the normal, whatever their names and numbers say."""
    normal = _normal(headers[0])
    places = np.array([geometry(h)[0] for h in headers])
    order = np.argsort(places @ normal, kind="stable")
    ways = np.diff(places[order], axis=0)
    along = ways @ normal
    return Steps(tuple(headers[i] for i in order), along, ways - along[:, None] * normal)


def faults_of_steps(folder: Path, steps: Steps) -> Iterator[StepFault]:
    """Positions that occur twice, gaps, uneven steps, tilt."""
    if not len(steps.along_mm):
        if not steps.headers[0].step_mm:
            what, why = "the only slice does not say how thick it is", "no SpacingBetweenSlices and no SliceThickness"
            hint = "export it again with one of them, or save it as NIfTI"
            yield StepFault(Problem(what, str(steps.headers[0].path), why, hint))
        return
    apart = steps.along_mm[steps.along_mm > ROUNDING_MM]
    if len(apart) < len(steps.along_mm):
        at = int(np.argmin(steps.along_mm))
        count = f"{len(steps.along_mm) - len(apart)} of {len(steps.along_mm)} steps have no length"
        why = f"{count}, as between {_pair(steps, at)}{_telling_apart(steps.headers)}"
        hint = "several echoes, time points or copies are in one series: put each into a folder of its own"
        yield StepFault(Problem("several slices lie at one position", str(folder), why, hint))
        return
    yield from _gaps(folder, steps)
    yield from _tilt(folder, steps)


def _telling_apart(headers: Headers) -> str:
    """The elements that differ between slices, with their values: most likely what the user has to split by."""
    found: list[str] = []
    for name in headers[0].apart:
        values = sorted({header.apart.get(name, "none") for header in headers})
        if 1 < len(values) <= len(headers) // 2:
            found.append(f"{name} is {', '.join(values[:4])}{' ...' if len(values) > 4 else ''}")
    return f"; {'; '.join(found)}" if found else ""


def _pair(steps: Steps, at: int) -> str:
    return f"{steps.headers[at].name} and {steps.headers[at + 1].name}"


def tolerance_mm(steps: Steps) -> float:
    """How far a slice may lie beside its place."""
    return max(POSITION_TOLERANCE * steps.usual_mm, ROUNDING_MM)


def _gaps(folder: Path, steps: Steps) -> Iterator[StepFault]:
    """Missing slices where every gap is a multiple of the step, uneven spacing otherwise."""
    usual, tolerance = steps.usual_mm, tolerance_mm(steps)
    wrong = [int(i) for i in np.flatnonzero(np.abs(steps.along_mm - usual) > tolerance)]
    if not wrong:
        return
    counts = np.round(steps.along_mm[wrong] / usual)
    whole = bool((counts >= 2).all()) and bool(
        (np.abs(steps.along_mm[wrong] - counts * usual) <= counts * tolerance).all()
    )
    shown = "; ".join(f"{steps.along_mm[i]:.4g} mm between {_pair(steps, i)}" for i in wrong[:2])
    more = f" and {len(wrong) - 2} more" if len(wrong) > 2 else ""
    why = f"{shown}{more}, where {usual:.4g} mm is usual"
    if whole:
        missing = int((counts - 1).sum())
        what = "a slice is missing" if missing == 1 else f"{missing} slices are missing"
        hint = f"copy the series again from its source; {how_to('missing-slices')}"
        yield StepFault(Problem(what, str(folder), why, hint), "missing-slices")
    else:
        hint = how_to("uneven-slices")
        yield StepFault(Problem("the slices are unevenly spaced", str(folder), why, hint), "uneven-slices")


def _tilt(folder: Path, steps: Steps) -> Iterator[StepFault]:
    """The way from slice to slice must run along the normal, and straight."""
    lean = np.median(steps.aside_mm / steps.along_mm[:, None], axis=0)  # a mm: over a gap slices lean more
    degrees = float(np.degrees(np.arctan(np.linalg.norm(lean))))
    if degrees > LARGEST_TILT_DEGREES:
        why = f"the slices are stacked at {degrees:.1f} degrees to their normal (gantry tilt)"
        yield StepFault(Problem("the slices are sheared", str(folder), why, how_to("tilt")), "tilt")
        return
    jump = np.linalg.norm(steps.aside_mm - np.outer(steps.along_mm, lean), axis=1)
    if jump.max() > tolerance_mm(steps):
        at = int(jump.argmax())
        why = f"{_pair(steps, at)} are {jump[at]:.4g} mm apart within the slice plane"
        what = "the slices are shifted against each other"
        yield StepFault(Problem(what, str(folder), why, "copy the series again"))


def grid_of(folder: Path, steps: Steps) -> Grid:
    """Index (column, row, slice) -> mm in RAS+; the step is the mean of steps that were found to be even."""
    first = steps.headers[0]
    place, (row, column), (between_rows, between_columns) = geometry(first)
    if len(steps.headers) > 1:
        step = (geometry(steps.headers[-1])[0] - place) / (len(steps.headers) - 1)
    else:
        step = _normal(first) * (first.step_mm or 1.0)
    affine = np.eye(4)
    affine[:3] = np.stack([row * between_columns, column * between_rows, step, place], axis=1)
    try:
        return Grid((first.size[1], first.size[0], len(steps.headers)), LPS_TO_RAS @ affine)
    except ValueError as error:
        raise UnreadableScan(Problem("the series does not say where it lies", str(folder), str(error))) from error
