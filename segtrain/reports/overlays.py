"""A case as three planes with the outlines of its masks, as a radiologist is used to see it.

Axes are turned to the patient's (R, A, S), so that a head is up and the patient's right is at the left of the
picture; voxels keep their true proportions. The planes are those in which the two masks together are largest, cut to
the masks with some room around.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from segtrain.core.grid import Grid, Triple
from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.canvas import DOTS_PER_INCH, Drawing, png, styled

REFERENCE, PREDICTION = "#4cc9f0", "#ff9e00"
"""Blue and orange: distinct for every kind of colour vision, and on grey."""

LINE_WIDTHS = {REFERENCE: 3.0, PREDICTION: 1.3}
"""Points: the reference shows on both sides of a prediction that agrees with it."""

ROOM_MM = 12.0
"""Shown around the masks at least; a third of their size where that is more."""

HEIGHT, TITLE, NARROWEST, WIDEST = 3.0, 0.3, 5.0, 11.0
"""Inches: height of the planes and of their titles, and bounds of the three together."""

PLANES = (
    # title, axis cut, axis to the right, axis up, (left, right, top, bottom)
    ("axial", 2, 0, 1, "RLAP"),
    ("coronal", 1, 0, 2, "RLSI"),
    ("sagittal", 0, 1, 2, "APSI"),
)
"""Every horizontal axis runs backwards: to the patient's left, or to the back."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A case to be shown."""

    case: str
    caption: str
    image: Volume
    prediction: LabelMap
    reference: LabelMap | None
    label_names: Mapping[int, str]
    """Id -> name of the labels that are outlined."""


@dataclass(frozen=True, eq=False)
class _Turned:
    """Arrays (X, Y, Z) along R, A, S; masks hold ids, or 0 where a label is not outlined."""

    image: NDArray[Any]
    masks: tuple[tuple[str, NDArray[Any]], ...]
    spacing_mm: Triple

    @property
    def together(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.any([mask > 0 for _, mask in self.masks], axis=0)
        return found


@styled
def overlay_panel(overlay: Overlay) -> Drawing:
    """Axial, coronal and sagittal plane; the reference in blue, the prediction in orange."""
    turned = _turned(overlay)
    centre, box = _planes_of(turned)
    low, high = _window(turned.image[box])
    extent = [turned.spacing_mm[axis] * (box[axis].stop - box[axis].start) for axis in range(3)]
    widths = [extent[right] / extent[up] for _, _, right, up, _ in PLANES]
    size = (min(WIDEST, max(NARROWEST, HEIGHT * sum(widths))), HEIGHT + TITLE)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="black")
    top = 1 - TITLE / size[1]
    grid = figure.add_gridspec(1, 3, width_ratios=widths, left=0.004, right=0.996, top=top, bottom=0.012, wspace=0.02)
    for place, (title, cut, right, up, letters) in enumerate(PLANES):
        axes = figure.add_subplot(grid[place])
        shown = tuple(centre[cut] if axis == cut else box[axis] for axis in range(3))
        aspect = turned.spacing_mm[up] / turned.spacing_mm[right]
        axes.imshow(_page(turned.image[shown]), cmap="gray", vmin=low, vmax=high, aspect=aspect)
        for colour, mask in turned.masks:
            _outline(axes, _page(mask[shown]), colour)
        axes.set_axis_off()
        axes.set_title(title, color="#cfd6dd", fontsize=10, loc="center", pad=4)
        _letters(axes, letters)
    key = [(PREDICTION, "prediction")] if overlay.reference is None else []
    key = key or [(REFERENCE, "reference"), (PREDICTION, "prediction")]
    return png(
        figure, f"{overlay.case}: three planes with the outlines of {' and '.join(n for _, n in key)}", tuple(key)
    )


def _turned(overlay: Overlay) -> _Turned:
    grid = overlay.image.grid
    ids = [label for label in overlay.label_names if label]
    maps = [(REFERENCE, overlay.reference), (PREDICTION, overlay.prediction)]
    masks = [
        (colour, _canonical(np.where(np.isin(m.array, ids), m.array, 0), m.grid)) for colour, m in maps if m is not None
    ]
    image = _canonical(overlay.image.array[0], grid).astype(np.float32)
    return _Turned(np.nan_to_num(image, posinf=0, neginf=0), tuple(masks), grid.canonical().spacing_mm)


def _canonical(array: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """The array with its axes along R, A, S."""
    order, flips = grid.orientation()
    return array.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def _planes_of(turned: _Turned) -> tuple[list[int], tuple[slice, slice, slice]]:
    """The index of the plane across each axis, and the box that is shown."""
    areas = [sum(np.count_nonzero(m, axis=_others(axis)) for _, m in turned.masks) for axis in range(3)]
    shape = turned.image.shape
    if not any(area.any() for area in map(np.asarray, areas)):
        return [n // 2 for n in shape], (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    centre = [int(np.argmax(area)) for area in areas]
    box = []
    for axis, area in enumerate(areas):
        inside = np.flatnonzero(np.asarray(area))
        room_mm = max(ROOM_MM, (inside[-1] - inside[0] + 1) * turned.spacing_mm[axis] / 3)
        room = int(np.ceil(room_mm / turned.spacing_mm[axis]))
        box.append(slice(max(0, int(inside[0]) - room), min(shape[axis], int(inside[-1]) + room + 1)))
    return centre, (box[0], box[1], box[2])


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _window(image: NDArray[Any]) -> tuple[float, float]:
    """Grey values that are shown as black and as white."""
    low, high = np.percentile(image, [1, 99.5])
    return float(low), float(high if high > low else low + 1)


def _page(plane: NDArray[Any]) -> NDArray[Any]:
    """(right or front, up) -> picture rows and columns: up is up, and the patient's right is at the left."""
    return plane.T[::-1, ::-1]


def _outline(axes: Any, plane: NDArray[Any], colour: str) -> None:
    for label in np.unique(plane[plane > 0]):
        inside = np.pad(plane == label, 1)
        x, y = np.arange(inside.shape[1]) - 1, np.arange(inside.shape[0]) - 1
        axes.contour(x, y, inside, levels=[0.5], colors=[colour], linewidths=LINE_WIDTHS[colour])
    axes.set_xlim(-0.5, plane.shape[1] - 0.5)
    axes.set_ylim(plane.shape[0] - 0.5, -0.5)


def _letters(axes: Any, letters: str) -> None:
    """The patient's directions at the left, right, upper and lower edge."""
    edges = [(0.03, 0.5, "left", "center"), (0.97, 0.5, "right", "center")]
    edges += [(0.5, 0.97, "center", "top"), (0.5, 0.03, "center", "bottom")]
    for letter, (x, y, across, up) in zip(letters, edges, strict=True):
        text = axes.text(x, y, letter, transform=axes.transAxes, ha=across, va=up, color="white", fontsize=9.5)
        text.set_path_effects([withStroke(linewidth=2.2, foreground="#000000aa")])
