"""How far apart the slices of a DICOM SEG are: what its PixelMeasures say, and what its frames show.

Frames without a voxel are left out, so the distance of two frames may be that of any number of slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import GridMismatch, Problem
from segtrain.core.grid import Grid
from segtrain.data.dicom.seg_frames import Frame
from segtrain.data.masks.slice_steps import THICKER, drawn_on_thicker, slices_apart

UNEVEN = 0.01
"""Share of a step by which frames may lie beside an even grid."""
SAME_HEIGHT_DECIMALS = 3
"""Frames whose heights in mm are equal up to here lie on one slice."""


def even_grid(path: Path, frames: Sequence[Frame]) -> Grid:
    """The smallest even grid of which every frame is a slice. Raises GridMismatch."""
    first = frames[0]
    rows, columns = first.pixels.shape
    normal, heights, (step, _) = _normal(first), _heights_mm(frames), _step_mm(frames)
    affine = np.eye(4)
    affine[:3] = np.column_stack([first.steps[:, :2], normal * step, frames[int(heights.argmin())].steps[:, 2]])
    grid = Grid((columns, rows, round(float(np.ptp(heights)) / step) + 1), affine)
    for frame in frames:
        placed = frame.onto(grid)
        if placed is None or np.abs(placed[1]).max() > UNEVEN or frame.pixels.shape != (rows, columns):
            hint = "give it together with a mask or a scan that has a grid"
            raise GridMismatch(Problem("the frames of a SEG lie on no even grid", str(path), hint=hint))
    return grid


def note_of_step(frames: Sequence[Frame], grid: Grid) -> str:
    """A note where nothing but the frames themselves says how far apart the slices of this grid are; "" elsewhere."""
    step, guessed_from = _step_mm(frames)
    if not guessed_from or not np.isclose(step, _step_of_grid_mm(frames[0], grid), rtol=UNEVEN):
        return ""
    return f"it does not say how far apart its slices are: {step:.4g} mm are taken, {guessed_from}"


def thicker_than(path: Path, frames: Sequence[Frame], names: Mapping[int, str], grid: Grid) -> Iterator[Problem]:
    """What was drawn on slices that are farther apart than those of the grid of a scan.

    SpacingBetweenSlices decides, unless frames that lie nearer belie it; SliceThickness says nothing, for slices may
    overlap. Where it is not there, the frames of each structure in `names` do.
    """
    step, said = _step_of_grid_mm(frames[0], grid), _least(frame.apart_mm for frame in frames)
    if said is not None:
        apart = min([said, *_distances_mm(frames)])
        if apart > THICKER * step:
            yield drawn_on_thicker(path, "the mask", apart_mm=apart, step_mm=step)
        return
    for number, name in names.items():
        own = [frame for frame in frames if _is_of(frame, number)]
        if own and (apart := _slices_apart(_heights_mm(own), step)) > 1:
            yield drawn_on_thicker(path, name, apart_mm=apart * step, step_mm=step)


def _is_of(frame: Frame, number: int) -> bool:
    return frame.segment == number if frame.segment is not None else bool((frame.pixels == number).any())


def _normal(frame: Frame) -> NDArray[np.float64]:
    normal = np.cross(frame.steps[:, 0], frame.steps[:, 1])
    unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
    return unit


def _heights_mm(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """(n,) along the normal of the first frame, above the lowest."""
    heights = np.array([frame.steps[:, 2] for frame in frames]) @ _normal(frames[0])
    above: NDArray[np.float64] = heights - heights.min()
    return above


def _distances_mm(frames: Sequence[Frame]) -> list[float]:
    """Between frames that follow each other along the normal."""
    distances: list[float] = np.diff(np.unique(np.round(_heights_mm(frames), SAME_HEIGHT_DECIMALS))).tolist()
    return distances


def _slices_apart(heights: NDArray[np.float64], step: float) -> int:
    return slices_apart(np.rint(heights / step).astype(int).tolist())


def _step_of_grid_mm(frame: Frame, grid: Grid) -> float:
    """Of a grid along the normal of a frame, whichever of its axes that is."""
    return float(np.abs(_normal(frame) @ grid.affine[:3, :3]).max())


def _step_mm(frames: Sequence[Frame]) -> tuple[float, str]:
    """How far apart slices are, and what that was guessed from; "" where the file says it.

    SliceThickness is believed where the frames do not tell of gaps between the slices.
    """
    heights = _heights_mm(frames)
    said, thick = (_least(getattr(frame, name) for frame in frames) for name in ("apart_mm", "thick_mm"))
    if said is not None and (step := _fitted_mm(heights, said)):
        return step, ""
    if thick is not None and (step := _fitted_mm(heights, thick)) and _slices_apart(heights, step) == 1:
        return step, ""
    if distances := _distances_mm(frames):
        return min(distances), "the smallest distance of two frames"
    return float(np.linalg.norm(frames[0].steps[:, 0])), "the width of a pixel"


def _fitted_mm(heights: NDArray[np.float64], given_mm: float) -> float | None:
    """The step of which all heights are whole multiples, near a given one, which may be rounded; None without one."""
    extent = float(heights.max())
    steps = round(extent / given_mm)
    step = extent / steps if steps else given_mm
    index = heights / step
    fits = abs(step - given_mm) <= UNEVEN * given_mm and np.abs(index - np.rint(index)).max() <= UNEVEN
    return step if fits else None


def _least(given: Iterable[float | None]) -> float | None:
    return min((value for value in given if value is not None), default=None)
