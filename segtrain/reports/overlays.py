"""A case as three planes with the outlines of its masks, as a radiologist is used to see it, to be scrolled through.

What is made here is plain: a sheet of slices, outlines as path data and our own words. Nothing of it comes from
outside but the name of the case, its caption and the names of its labels, which the page escapes. Each plane begins at
the slice in which the masks together are largest; that is also what is seen without the script (`viewer.js`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.outlines import outlines_within
from segtrain.reports.planes import PLANES, Plane, Role, Shown, chosen_slices, grey_pages, pages, shown
from segtrain.reports.sheets import Sheet, sheet_of
from segtrain.reports.wording import number


@dataclass(frozen=True, eq=False)
class Overlay:
    """A case to be shown. The masks lie on the grid of the image."""

    case: str
    caption: str
    image: Volume
    """The first channel is shown."""
    prediction: LabelMap
    reference: LabelMap | None
    label_names: Mapping[int, str]
    """Id -> name of the labels that are outlined; 0 is none."""


@dataclass(frozen=True)
class PlaneView:
    """One plane, as the page draws it. Coordinates of a picture are in half voxels from its upper left corner."""

    plane: Plane
    sheet: Sheet
    first: int
    """The slice that is seen at first."""
    box: tuple[int, int]
    """Width and height of the picture in half voxels."""
    size_mm: tuple[float, float]
    slices_in_box: int
    """Slices that there are; those that are shown are evenly chosen."""
    offsets: tuple[int, ...]
    """Where each slice lies on its axis, in voxels from the low end of the box."""
    words: tuple[str, ...]
    """Number and position of each slice."""
    outlines: Mapping[Role, tuple[Mapping[int, str], ...]]
    """Path data by slice and label."""
    least_pixels: int
    """A part of a mask that is smaller has no outline."""

    @property
    def aspect(self) -> float:
        """Width by height."""
        return self.size_mm[0] / self.size_mm[1]

    def path(self, role: Role) -> str:
        """All outlines of the first slice."""
        return "".join(self.outlines[role][self.first].values())

    def packed(self, role: Role) -> str:
        """All outlines as one text of digits, path letters and separators: `1:M..z;2:M..z|1:M..z`."""
        slices = self.outlines[role]
        return "|".join(";".join(f"{label}:{path}" for label, path in by_label.items()) for by_label in slices)


@dataclass(frozen=True)
class CaseView:
    """One case, as the page draws it."""

    case: str
    caption: str
    planes: tuple[PlaneView, ...]
    roles: tuple[Role, ...]
    label_names: Mapping[int, str]
    """Of the labels that some outline is of."""

    @property
    def thinned(self) -> str:
        """Which planes leave slices out, or nothing."""
        counts = [(v.plane.title, len(v.offsets), v.slices_in_box) for v in self.planes]
        left_out = [f"{shown} of {there} {title}" for title, shown, there in counts if shown < there]
        slices = [f"Slices, evenly chosen: {', '.join(left_out)}."] if left_out else []
        least = max(view.least_pixels for view in self.planes)
        specks = [f"Parts of fewer than {least} pixels are not outlined."] if least > 1 else []
        return " ".join(slices + specks)


def case_view(overlay: Overlay) -> CaseView:
    """Three planes of a case with every outline in them; holds no volume, so that one case at a time is in memory."""
    labels = [label for label in overlay.label_names if label]
    seen = shown(overlay.image, overlay.prediction, overlay.reference, labels)
    planes = tuple(_plane_view(seen, plane) for plane in PLANES)
    drawn = {label for view in planes for slices in view.outlines.values() for found in slices for label in found}
    names = {label: overlay.label_names[label] for label in labels if label in drawn}
    return CaseView(overlay.case, overlay.caption, planes, tuple(seen.masks), names)


def _plane_view(seen: Shown, plane: Plane) -> PlaneView:
    slices = chosen_slices(seen.image.shape[plane.cut], seen.centre[plane.cut])
    across, up = (seen.image.shape[axis] for axis in (plane.right, plane.up))
    drawn = {role: outlines_within(list(pages(mask, plane, slices))) for role, mask in seen.masks.items()}
    return PlaneView(
        plane=plane,
        sheet=sheet_of(grey_pages(seen, plane, slices)),
        first=int(np.searchsorted(slices, seen.centre[plane.cut])),
        box=(2 * across, 2 * up),
        size_mm=(across * seen.spacing_mm[plane.right], up * seen.spacing_mm[plane.up]),
        slices_in_box=seen.image.shape[plane.cut],
        offsets=tuple(slices.tolist()),
        words=tuple(_words(seen, plane, slices)),
        outlines={role: found for role, (found, _) in drawn.items()},
        least_pixels=max(least for _, least in drawn.values()),
    )


def _words(seen: Shown, plane: Plane, slices: NDArray[np.intp]) -> Sequence[str]:
    """`slice 37 · S 12.5 mm`."""
    places = ((seen.numbers[plane.cut][i], seen.mm[plane.cut][i]) for i in slices)
    return [f"slice {n} · {plane.sides[int(mm >= 0)]} {number(abs(mm), 1)} mm" for n, mm in places]
