"""Where the slices of a DICOM series lie, and every reason not to believe it.

Slices are sorted by their position along the normal. A series whose slices do not lie on one regular grid is
refused with the place in mm, and mended only where that is asked for (`dicom.repair`): other readers stretch the
spacing over a gap without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
ONE_DECIMAL_MM = 0.1 + 1e-6
"""So far a slice may lie off the line of the others where positions have one decimal: half a unit at either end."""
LARGEST_OFF = 0.1
"""Share of the slice distance beyond which nothing is taken for rounding."""
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
        """The mean of the steps about their median: SliceThickness says how thick a slice is, not how far the next."""
        median = np.quantile(self.along_mm, 0.5, method="lower")  # one that there is
        return float(self.along_mm[np.abs(self.along_mm - median) <= LARGEST_OFF * median].mean())

    @property
    def off_line_mm(self) -> NDArray[np.float64]:
        """(n,) how far each slice lies, along the normal, beside even steps from the first to the last."""
        heights = np.concatenate([[0], np.cumsum(self.along_mm)])
        off: NDArray[np.float64] = np.abs(heights - np.linspace(0, heights[-1], len(heights)))
        return off


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
    """How far a slice may lie beside its place; more where positions are written with one decimal, and so rounded."""
    tenths = 10 * np.array([geometry(header)[0] for header in steps.headers])
    rounded = bool((np.abs(tenths - np.rint(tenths)) < 1e-6).all())
    return max(_fine_mm(steps), min(ONE_DECIMAL_MM, LARGEST_OFF * steps.usual_mm) if rounded else 0)


def _fine_mm(steps: Steps) -> float:
    return max(POSITION_TOLERANCE * steps.usual_mm, ROUNDING_MM)


def note_of_steps(steps: Steps) -> str:
    """A note where slices lie a little beside their places, and are taken to be on them; "" elsewhere."""
    off = float(steps.off_line_mm.max())
    if len(steps.headers) < 2 or not _fine_mm(steps) < off <= LARGEST_OFF * steps.usual_mm:
        return ""
    return f"its slices lie up to {off:.2g} mm beside even steps of {steps.along_mm.mean():.4g} mm (rounded positions?)"


def _gaps(folder: Path, steps: Steps) -> Iterator[StepFault]:
    """Missing slices where every gap is a multiple of the step, uneven spacing otherwise."""
    usual, tolerance = steps.usual_mm, tolerance_mm(steps)
    off = steps.off_line_mm
    wrong = [int(i) for i in np.flatnonzero(np.abs(steps.along_mm - usual) > tolerance)]
    if off.max() <= (tolerance if wrong else max(tolerance, LARGEST_OFF * usual)):
        return
    if not wrong:  # steps that are each a little too long
        why = f"{steps.headers[int(off.argmax())].name} lies {off.max():.4g} mm beside even steps"
        yield _uneven(folder, why)
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
        yield _uneven(folder, why)


def _uneven(folder: Path, why: str) -> StepFault:
    problem = Problem("the slices are unevenly spaced", str(folder), why, how_to("uneven-slices"))
    return StepFault(problem, "uneven-slices")


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
