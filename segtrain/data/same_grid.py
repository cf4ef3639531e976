"""Whether two arrays lie on one grid, and what to do where they do not."""

from __future__ import annotations

import numpy as np

from segtrain.core.errors import GridMismatch, Problem
from segtrain.core.grid import SAME_GRID_TOLERANCE_VOXELS, Grid

LARGEST_SHIFT_VOXELS = 0.5
"""A mask that lies further from its image has its voxels in other places: which of two is wrong, nobody knows."""
OF_A_CASE = ("image", "label")
"""What a data set has of a case, in words."""


def require_same_grid(
    image: Grid, label: Grid, case: str = "", *, names: tuple[str, str] = OF_A_CASE, file: str = ""
) -> str | None:
    """Whether two arrays can be laid over each other voxel by voxel.

    None where they can; a note for the reader where the label is off by less than half a voxel (it is used as
    if it lay on the image's grid). Raises GridMismatch beyond that, or where shapes differ; `file` is the label's.
    """
    distance = image.distance_voxels(label)
    if distance <= SAME_GRID_TOLERANCE_VOXELS:
        return None
    if distance <= LARGEST_SHIFT_VOXELS:
        return f"{case}: the {names[1]} lies {distance:.2g} voxels beside the {names[0]}; it is used on its grid"
    what = f"{names[0]} and {names[1]} are not on one grid: {apart(image, label)}"
    why = f"the {names[0]} has {image.describe()}, the {names[1]} {label.describe()}"
    where = ", ".join(part for part in (f"case {case}" if case else "", file) if part)
    raise GridMismatch(Problem(what, where, why, _how_to_join(image, label, names)))


def _how_to_join(image: Grid, label: Grid, names: tuple[str, str]) -> str:
    """What a person can do where an image and a label are not on one grid; `--fix` mends cases of a data set alone."""
    one, other = names
    mirrored = _mirrored(image, label)
    if image.mirrored_axes(label) is not None and _lieapart(image, label):
        found = f"{mirrored}, and it lies elsewhere" if mirrored else "only where they begin differs"
        header = f"if it was drawn on it, write the header of the {one} into it"
        return f"{found}; which header is wrong, neither tells: find the {other} of this {one}, or {header}"
    onto = f"resample the {other} onto the grid of the {one}"
    if names == OF_A_CASE:
        onto = f"`segtrain check --fix DIR` brings the {other} onto the grid of the {one} if no voxel of it gets lost"
    return f"{mirrored}{': ' if mirrored else ''}{onto}; or find the file that belongs to it"


def _mirrored(one: Grid, other: Grid) -> str:
    """`x axis mirrored`, or nothing."""
    axes = one.mirrored_axes(other)
    return f"{axes} {'axes' if ',' in axes else 'axis'} mirrored" if axes else ""


def _lieapart(one: Grid, other: Grid) -> bool:
    """Whether two grids of one shape are over other voxels, in whatever order each has them."""
    return one.canonical().distance_voxels(other.canonical()) > LARGEST_SHIFT_VOXELS


def apart(one: Grid, other: Grid) -> str:
    """In which way two grids differ, in words: their shapes, or how far their corners are from each other."""
    if one.shape != other.shape:
        return "their shapes differ"
    apart = f"they are {one.distance_voxels(other):.3g} voxels ({_distance_mm(one, other):.3g} mm) apart"
    return ", ".join(part for part in (apart, _mirrored(one, other)) if part)


def _distance_mm(one: Grid, other: Grid) -> float:
    return float(np.linalg.norm(one.corners() - other.corners(), axis=1).max())
