"""Where the voxels of MetaImage and NRRD lie: both say it in LPS (x to the left, y to the back), a `Grid` in RAS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid
from segtrain.data.files.voxel_file import refuse

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
"""And back: it is its own inverse."""
FLAT = "it has two axes, so that its one slice is taken to be 1 mm thick"
ABSURD = 2**31
"""Voxels along an axis from which on a header is damaged."""


def grid_in_lps(
    path: Path, sizes: Sequence[int], directions: NDArray[Any], spacing: Sequence[float], origin: Sequence[float]
) -> tuple[Grid, tuple[str, ...]]:
    """The grid of 2 to 4 axes (a fourth one is none of space), and notes for the reader.

    `directions` has the unit vector of each axis in a column, `spacing` and `origin` are in mm. Raises UnreadableScan.
    """
    if min(sizes) < 1 or max(sizes) >= ABSURD:
        refuse(path, "the shape is not that of a scan", f"it has the shape {tuple(sizes)}")
    if not (np.isfinite(spacing).all() and min(spacing[:3]) > 0):
        shown = ", ".join(f"{s:g}" for s in spacing)
        refuse(path, "the voxel spacing is not positive", f"it is {shown}", "set the spacing in mm and save again")
    axes = min(3, len(sizes))
    affine = np.eye(4)
    affine[:axes, :axes] = np.asarray(directions)[:axes, :axes] * np.asarray(spacing)[:axes]
    affine[:axes, 3] = np.asarray(origin)[:axes]
    affine[:3] = RAS_TO_LPS @ affine[:3]
    x, y, z = (*sizes[:3], 1)[:3]
    try:
        return Grid((x, y, z), affine), ((FLAT,) if axes == 2 else ())
    except ValueError as error:
        refuse(path, "the file does not say where its voxels lie", str(error), "set its directions and save it again")
