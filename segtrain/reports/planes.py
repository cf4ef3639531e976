"""A scan and its masks turned to the patient, cut to what is worth showing, and the slices that are shown of it.

Axes are turned to the patient's (R, A, S), so that a head is up and the patient's right is at the left of the
picture. A box around all masks is cut out, with some room; each plane shows slices across the box, evenly chosen
through the one in which the masks together are largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid, Triple
from segtrain.core.volume import LabelMap, Volume

Role = Literal["reference", "prediction"]

ROOM_MM = 12.0
"""Shown around the masks at least; a third of their size where that is more."""

MOST_SLICES = 48
"""Slices that a plane shows; of a longer box as many, evenly chosen."""

MOST_SAMPLES = 1_000_000
"""Voxels, about, that decide what is shown as black and as white."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Plane:
    """A way to cut a scan. Axes are 0, 1, 2 for R, A, S; all pictures run from high to low along both."""

    title: str
    cut: int
    right: int
    """The axis that runs across the picture, backwards: to the patient's left, or to the back."""
    up: int
    letters: str
    """Directions at the left, right, upper and lower edge."""
    sides: str
    """What a position across the plane is called below and above 0 mm."""


PLANES = (
    Plane("axial", 2, 0, 1, "RLAP", "IS"),
    Plane("coronal", 1, 0, 2, "RLSI", "PA"),
    Plane("sagittal", 0, 1, 2, "APSI", "LR"),
)


@dataclass(frozen=True, eq=False)
class Shown:
    """What is shown of a case: arrays (X, Y, Z) along R, A, S, all of one shape."""

    image: NDArray[Any]
    window: tuple[float, float]
    """Values that are shown as black and as white."""
    masks: Mapping[Role, NDArray[Any]]
    """Label ids, or 0 where a label is not outlined."""
    spacing_mm: Triple
    centre: tuple[int, int, int]
    """The slice across each axis in which the masks together are largest."""
    numbers: tuple[NDArray[np.intp], ...]
    """For each axis, the number that the scan's own file has for a slice, from 1."""
    mm: tuple[NDArray[np.float64], ...]
    """For each axis, where a slice lies in the patient at the middle of the other two: RAS+, as scanners count."""


def shown(
    image: Volume, prediction: LabelMap, reference: LabelMap | None, labels: Sequence[int], channel: int = 0
) -> Shown:
    """What to show of a case whose masks lie on the grid of the image; `labels` are outlined."""
    maps: dict[Role, LabelMap] = {} if reference is None else {"reference": reference}
    along_patient = {role: turned(m.array, image.grid) for role, m in {**maps, "prediction": prediction}.items()}
    masks = {role: _kept(mask, labels) for role, mask in along_patient.items()}
    grid = image.grid.canonical()
    centre, box = _box_of(list(masks.values()), grid)
    cut = turned(image.array[channel], image.grid)[box]
    inside = (centre[0] - box[0].start, centre[1] - box[1].start, centre[2] - box[2].start)
    return Shown(
        cut,
        window_of(cut),
        {role: mask[box] for role, mask in masks.items()},
        grid.spacing_mm,
        inside,
        _slice_numbers(image.grid, box),
        _places_mm(grid, box),
    )


def chosen_slices(length: int, centre: int) -> NDArray[np.intp]:
    """Every slice, or MOST_SLICES of them, evenly chosen with the one at `centre` among them."""
    if length <= MOST_SLICES:
        return np.arange(length)
    before = round(centre / (length - 1) * (MOST_SLICES - 1))
    low = np.linspace(0, centre, before + 1)
    high = np.linspace(centre, length - 1, MOST_SLICES - before)
    return np.unique(np.rint(np.concatenate([low, high])).astype(np.intp))


def pages(array: NDArray[Any], plane: Plane, slices: NDArray[np.intp]) -> NDArray[Any]:
    """Slices of an array as pictures (N, rows, columns): up is up, and the patient's right is at the left."""
    return array.transpose(plane.cut, plane.up, plane.right)[slices, ::-1, ::-1]


def grey_pages(seen: Shown, plane: Plane, slices: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Slices of the image as pictures in 256 greys; a voxel that is no number is as dark as 0."""
    low, high = seen.window
    values = _numbers_only(pages(seen.image, plane, slices))
    values -= low
    values *= 255 / (high - low)
    np.rint(values, out=values)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def turned(array: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """The array with its axes along R, A, S."""
    return grid.turned(array)


def _box_of(masks: Sequence[NDArray[Any]], grid: Grid) -> tuple[list[int], Box]:
    """The slice across each axis in which the masks are largest, and the box around them with room."""
    shape, spacing = grid.shape, grid.spacing_mm
    areas = [np.sum([np.count_nonzero(mask, axis=_others(axis)) for mask in masks], axis=0) for axis in range(3)]
    if not areas[0].any():
        return [n // 2 for n in shape], (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    box = []
    for axis, area in enumerate(areas):
        inside = np.flatnonzero(area)
        room_mm = max(ROOM_MM, (inside[-1] - inside[0] + 1) * spacing[axis] / 3)
        room = int(np.ceil(room_mm / spacing[axis]))
        box.append(slice(max(0, int(inside[0]) - room), min(shape[axis], int(inside[-1]) + room + 1)))
    return [int(np.argmax(area)) for area in areas], (box[0], box[1], box[2])


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _kept(mask: NDArray[Any], labels: Sequence[int]) -> NDArray[Any]:
    """The mask with 0 for every id that is not in `labels`."""
    if mask.dtype != np.uint8:
        return np.where(np.isin(mask, labels), mask, 0)
    table = np.zeros(256, dtype=np.uint8)  # one look a voxel, for the usual mask of a large scan
    own = [label for label in labels if 0 <= label < 256]
    table[own] = own
    kept: NDArray[np.uint8] = table[mask]
    return kept


def window_of(image: NDArray[Any]) -> tuple[float, float]:
    """What is shown as black and as white: all but the darkest 1 % and the brightest 0.5 % keep their contrast."""
    step = int(np.ceil((image.size / MOST_SAMPLES) ** (1 / 3)))
    sample = _numbers_only(image[::step, ::step, ::step])
    low, high = map(float, np.percentile(sample, [1, 99.5]))
    return low, high if high > low else low + 1


def _numbers_only(values: NDArray[Any]) -> NDArray[np.float32]:
    """A copy in which 0 stands for what is no finite number."""
    copy: NDArray[np.float32] = np.array(values, dtype=np.float32, order="C")
    return np.nan_to_num(copy, copy=False, posinf=0, neginf=0)


def _slice_numbers(grid: Grid, box: Box) -> tuple[NDArray[np.intp], ...]:
    order, flips = grid.orientation()
    counted = [np.arange(grid.shape[old])[:: -1 if flip else 1] + 1 for old, flip in zip(order, flips, strict=True)]
    return tuple(numbers[part] for numbers, part in zip(counted, box, strict=True))


def _places_mm(grid: Grid, box: Box) -> tuple[NDArray[np.float64], ...]:
    middle = np.array([(part.start + part.stop - 1) / 2 for part in box])
    found = []
    for axis, part in enumerate(box):
        index = np.repeat(middle[None], part.stop - part.start, axis=0)
        index[:, axis] = np.arange(part.start, part.stop)
        found.append(grid.positions_mm(index)[:, axis])
    return tuple(found)
