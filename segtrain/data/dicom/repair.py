"""A DICOM series that lies on no grid -> one that does, where that was asked for; what was done is said.

What cannot be repaired, or was not asked for, is refused as by `read_dicom`: slices at one position, slices shifted
against each other. So is what would make more of the scan than was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segtrain.core.errors import Problem, UnreadableScan, raise_all
from segtrain.core.volume import Volume
from segtrain.core.words import count
from segtrain.data.dicom.geometry import (
    LPS_TO_RAS,
    POSITION_TOLERANCE,
    StepFault,
    Steps,
    faults_of_steps,
    geometry,
    grid_of,
    tolerance_mm,
)
from segtrain.data.dicom.scan import origin_of, steps_of_series, values_of
from segtrain.data.repair.repairs import Repairs
from segtrain.data.repair.slice_stack import Evened, SliceStack, Vector

MOST_SLICES = 4
"""For each slice that there is, at most so many on the grid; the others would be nothing but interpolation."""
MOST_REPAIRED_TILT_DEGREES = 45.0
"""No gantry tilts so far; what leans more is no tilted scan."""
SHOWN = 6
"""Heights in one sentence."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """A series as it lies, and how it comes onto a grid."""

    steps: Steps
    notes: tuple[str, ...]
    evened: Evened | None
    """None where it lies on one."""
    changes: tuple[str, ...]


def stacked(place: Path, series_uid: str, repairs: Repairs) -> Stacked:
    """The slices of a series and what is to be done with them; no voxel is read. Raises UnreadableScan."""
    steps, notes = steps_of_series(place, series_uid)
    faults = list(faults_of_steps(place, steps))
    raise_all(UnreadableScan, (fault.problem for fault in faults if not repairs.include(fault.repair)))
    if not faults:
        return Stacked(steps, notes, None, ())
    evened = _evened(steps, faults)
    raise_all(UnreadableScan, _beyond_repair(place, steps, evened))
    return Stacked(steps, notes, evened, tuple(_told(steps, evened, faults)))


def values_as_stored(place: Path, stack: Stacked) -> Volume:
    """The values (1, X, Y, n) of the slices as they lie; some may be NaN or infinite.

    Where the series has to be evened, the grid counts its slices and is no place to measure. Raises UnreadableScan.
    """
    array, notes = values_of(stack.steps.headers)
    grid = grid_of(place, stack.steps) if stack.evened is None else stack.evened.as_written_elsewhere()[0]
    return Volume(array[np.newaxis], grid, (*stack.notes, *notes), (origin_of(stack.steps.headers),))


def evened_values(volume: Volume, evened: Evened) -> Volume:
    """The same values, all finite, on the grid of upright, even slices."""
    channels = np.stack([evened.values(channel) for channel in volume.array])
    return Volume(channels, evened.grid, volume.notes, volume.origins)


def stack_of(steps: Steps) -> SliceStack:
    """Slices as their positions say, in RAS."""
    first = steps.headers[0]
    _, (row, column), (between_rows, between_columns) = geometry(first)
    turn = LPS_TO_RAS[:3, :3]
    places: Vector = np.array([turn @ geometry(header)[0] for header in steps.headers])
    steps_mm: Vector = turn @ np.column_stack([row * between_columns, column * between_rows])
    return SliceStack((first.size[1], first.size[0]), steps_mm, places)


def _evened(steps: Steps, faults: Sequence[StepFault]) -> Evened:
    """Where the slices of the grid lie, by what is wrong with those that there are."""
    names = {fault.repair for fault in faults}
    stack = stack_of(steps)
    heights = stack.heights_mm
    step = float(steps.along_mm.min()) if "uneven-slices" in names else steps.usual_mm
    even = np.linspace(0, heights[-1], round(heights[-1] / step) + 1)
    slots = even if "missing-slices" in names else heights
    return Evened(stack, slots, even if names & {"missing-slices", "uneven-slices"} else heights, "tilt" in names)


def _beyond_repair(place: Path, steps: Steps, evened: Evened) -> Iterator[Problem]:
    stack = evened.stack
    off = stack.off_line_mm
    if off.max() > tolerance_mm(steps):
        why = f"{steps.headers[int(off.argmax())].name} lies {off.max():.4g} mm beside the line of the others"
        yield Problem("the slices are shifted against each other", str(place), why, "copy the series again")
    if len(evened.heights_mm) > MOST_SLICES * len(steps.headers):
        why = f"{len(steps.headers)} slices would become {len(evened.heights_mm)}, of which most were never measured"
        yield Problem("the slices are too far apart to be repaired", str(place), why, "copy the series again")
    if evened.upright and _degrees(stack) > MOST_REPAIRED_TILT_DEGREES:
        why = f"they lean by {_degrees(stack):.0f} degrees, more than any gantry"
        yield Problem("the slices lean too far to be repaired", str(place), why, "copy the series again")


def _told(steps: Steps, evened: Evened, faults: Sequence[StepFault]) -> Iterator[str]:
    """What is done, in words."""
    names = {fault.repair for fault in faults}
    stack, heights = evened.stack, evened.heights_mm
    if "missing-slices" in names:
        apart = np.abs(heights[:, None] - stack.heights_mm).min(axis=1)
        new = heights[apart > POSITION_TOLERANCE * steps.usual_mm] + stack.places_mm[0] @ stack.normal
        shown = ", ".join(f"{height:.4g}" for height in new[:SHOWN]) + (" ..." if len(new) > SHOWN else "")
        yield f"{count(len(new), 'missing slice')} interpolated between the neighbours, at {shown} mm along the normal"
    if "uneven-slices" in names:
        low, high, step = steps.along_mm.min(), steps.along_mm.max(), heights[-1] / (len(heights) - 1)
        was = f"{count(len(steps.headers), 'slice')} at distances of {low:.4g} to {high:.4g} mm"
        yield f"{was} interpolated to {len(heights)}, {step:.4g} mm apart"
    if "tilt" in names:
        how = f"slices moved by up to {evened.moved_mm:.3g} mm within their plane, the smallest value beyond them"
        yield f"a gantry tilt of {_degrees(stack):.1f} degrees taken out: {how}"


def _degrees(stack: SliceStack) -> float:
    return float(np.degrees(np.arctan(np.linalg.norm(stack.lean))))
