"""Where the voxels of a NIfTI file lie: it may say so twice, by sform and qform, or not at all.

The sform wins where its code is set, as in nibabel; SimpleITK and others may take the qform. So it is said where the
two are not one place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.spatialimages import HeaderDataError

from segtrain.core.grid import Affine, Grid, Shape3
from segtrain.data.files.nifti_header import Header, refuse, shape_of

SAME_PLACE_VOXELS = 0.5
"""As far a mask may be off its scan."""
NEITHER = (
    "neither sform nor qform is set: its axes are taken to run left, front and up, its middle to be the origin, "
    "as nibabel does"
)
EMPTY_SFORM = "its sform is empty, though its code is set: its qform is taken"


def grid_of_header(path: Path, header: Header) -> tuple[Grid, tuple[str, ...]]:
    """sform where its code is set, else qform, else the spacing alone (centred); notes. Raises UnreadableScan."""
    x, y, z = (*shape_of(header), 1)[:3]
    try:
        return _grid(header, (x, y, z))
    except (ValueError, HeaderDataError) as error:
        hint = "set sform and qform anew (for example with nibabel) and save it again"
        refuse(path, "the file does not say where its voxels lie", str(error), hint)


def _grid(header: Header, shape: Shape3) -> tuple[Grid, tuple[str, ...]]:
    sform, by_sform, by_qform = header.get_sform(), bool(header["sform_code"]), bool(header["qform_code"])
    if by_sform and (sform[:3].any() or not by_qform):
        grid = Grid(shape, sform)
        return grid, _apart(header, grid) if by_qform else ()
    if by_qform:
        return Grid(shape, _qform(header)), (EMPTY_SFORM,) if by_sform else ()
    return Grid(shape, header.get_base_affine()), (NEITHER,)


def _qform(header: Header) -> Affine:
    """The qform, its qfac 1 where it is 0 (nifti1.h, method 2), which nibabel refuses. ValueError, HeaderDataError."""
    own = header.copy()
    own["pixdim"][0] = own["pixdim"][0] or 1
    affine: Affine = own.get_qform()
    return affine


def _apart(header: Header, by_sform: Grid) -> tuple[str, ...]:
    """A note where the qform puts a corner elsewhere than the sform, or nowhere."""
    try:
        affine = _qform(header)
        steps = affine[:3, :3]
        # A single slice may be 0 mm thick there: that says nothing about where it lies.
        affine[:3, :3] = np.where(steps.any(axis=0), steps, by_sform.affine[:3, :3])
        by_qform = Grid(by_sform.shape, affine)
    except (ValueError, HeaderDataError) as error:
        return (f"its qform is damaged ({error}): its sform is taken",)
    gap = by_sform.distance_voxels(by_qform)
    if gap <= SAME_PLACE_VOXELS:
        return ()
    spacings = " against ".join("x".join(f"{s:.4g}" for s in grid.spacing_mm) for grid in (by_sform, by_qform))
    return (f"its sform and qform are {gap:.3g} voxels apart (spacings {spacings} mm): its sform is taken",)
