"""Probabilities of a whole scan, written box by box: one 4D NIfTI with an output along the fourth axis.

Viewers show it and nibabel reads it. Numbers are uint16 with a slope of 1/65535, hence right to 8e-6. It is not
compressed, because boxes are written wherever they belong; what is on the disk is never held in memory as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from segtrain.core.errors import Problem, ResourceError
from segtrain.core.files import whole_file
from segtrain.core.grid import Grid
from segtrain.core.machine import free_disk_bytes
from segtrain.data.files.nifti_header import Header

STEPS = 65535
"""Of a probability of 1."""
NIFTI1_LARGEST_AXIS = 32767

Write = Callable[[tuple[slice, slice, slice], NDArray[np.float32]], None]
"""Takes a box of the scan and its probabilities (outputs, *box)."""


@contextmanager
def probability_file(path: Path, grid: Grid, outputs: int) -> Iterator[Write]:
    """A file that is filled box by box, and is there when the block ends well. `path` ends in .nii.

    ResourceError where the disk has not enough space, before anything is written.
    """
    shape = (*grid.shape, outputs)
    header = _header(grid, shape)
    size = int(header["vox_offset"]) + 2 * int(np.prod(shape, dtype=np.int64))
    _require_space(path, size)
    with whole_file(path) as temporary:
        with temporary.open("wb") as file:
            file.write(header.binaryblock + bytes(4))
            _reserve(file.fileno(), size)

        def write(box: tuple[slice, slice, slice], probabilities: NDArray[np.float32]) -> None:
            # Mapped anew for each box: pages of a mapping that stays would count as memory of the process.
            voxels = np.memmap(temporary, "<u2", "r+", int(header["vox_offset"]), shape, "F")
            voxels[box] = np.moveaxis(np.rint(probabilities * np.float32(STEPS)).astype(np.uint16), 0, -1)

        yield write


def _header(grid: Grid, shape: tuple[int, ...]) -> Header:
    header: Header = (Nifti2Header if max(shape) > NIFTI1_LARGEST_AXIS else Nifti1Header)(endianness="<")
    header.set_data_dtype(np.uint16)
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    header.set_qform(grid.affine, code=1, strip_shears=True)
    header.set_sform(grid.affine, code=1)
    header.set_slope_inter(1 / STEPS, 0)
    header["vox_offset"] = header.single_vox_offset
    header["descrip"] = b"segtrain probabilities"
    return header


def _require_space(path: Path, size: int) -> None:
    free = free_disk_bytes(path.parent)
    if free is not None and free < size:
        why = f"they take {size / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        hint = "free some space, choose another folder with --out, or leave out --save-probabilities"
        raise ResourceError(Problem("there is no room for the probabilities", str(path), why, hint))


def _reserve(file: int, size: int) -> None:
    """Take the space now: a mapped file for which the disk is too small ends the process without a word."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)
