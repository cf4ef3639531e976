"""The border to NIfTI voxels: nibabel understands the header, and every byte is read and checked here.

Why not `nibabel.load`: it memory-maps what a writer may overwrite, and stops before the checksum at the end of a
`.nii.gz`, so that a flipped bit can pass. Why not SimpleITK: it fills a truncated file with zeros.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from segtrain.core.files import write_bytes
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti_grid import grid_of_header
from segtrain.data.files.nifti_header import (
    Header,
    is_nifti,
    nifti_errors,
    offset_of,
    opened,
    opened_voxels,
    read_header,
    refuse,
    shape_of,
    voxel_bytes,
    voxels_of,
)
from segtrain.data.repair.finite import require_finite

__all__ = ["is_nifti", "nifti_as_stored", "read_nifti", "write_nifti", "write_nifti_image"]

Array = NDArray[Any]
ABOUT_INTENSITIES = (
    "cal_max",
    "cal_min",
    "slice_duration",
    "toffset",
    "intent_code",
    "intent_p1",
    "intent_p2",
    "intent_p3",
)
NIFTI1_LARGEST_AXIS = 32767


def read_nifti(path: Path) -> Volume:
    """Read all of a file: integers as they are stored, everything else float32 with scl_slope applied.

    2D becomes one slice, the fourth axis becomes channels. Raises UnreadableScan for a damaged, truncated or
    absurd file and for voxels that are not finite, ResourceError where memory does not suffice.
    """
    volume = nifti_as_stored(path)
    require_finite(path, volume.array)
    return volume


def nifti_as_stored(path: Path) -> Volume:
    """As `read_nifti`; voxels may be NaN or infinite."""
    with nifti_errors(path), opened(path) as file:
        header = read_header(path, file)
        grid, notes = grid_of_header(path, header)
        array = _scaled(_stored(path, file, header), header)
    return Volume(np.ascontiguousarray(np.moveaxis(array.reshape((*grid.shape, -1)), -1, 0)), grid, notes)


def write_nifti(path: Path, labels: LabelMap, *, like: Path | None = None) -> None:
    """Write a mask in the smallest of uint8, uint16 and int32; equal masks give equal bytes.

    With `like`, shape, affine, sform and qform are bit for bit those of that file, on whose grid `labels` must
    lie (ValueError otherwise). A `.nii.gz` is compressed. Raises ResourceError where it cannot be written.
    """
    _write(path, labels.compact(), _header_like(like, labels) if like else _header_of(labels.grid))


def write_nifti_image(path: Path, volume: Volume) -> None:
    """Write a scan in its own dtype, several channels as a fourth axis. Raises ResourceError."""
    array = np.moveaxis(volume.array, 0, -1)
    header = _header_of(volume.grid)
    header.set_data_shape(array.shape if array.shape[-1] > 1 else array.shape[:3])
    _write(path, array, header)


def _stored(path: Path, file: BinaryIO, header: Header) -> Array:
    """The stored numbers, of this file behind its header or of the one beside it."""
    offset, voxels = offset_of(path, header), voxels_of(path)
    if voxels == path:
        return _read_voxels(path, file, header, ahead=offset - len(header.binaryblock))
    with opened_voxels(voxels) as beside:
        return _read_voxels(voxels, beside, header, ahead=offset)


def _read_voxels(path: Path, file: BinaryIO, header: Header, *, ahead: int) -> Array:
    """The stored numbers, little-endian or not as they are; a compressed file is read to its checksum."""
    needed = voxel_bytes(header)
    file.read(ahead)
    data = file.read(needed)
    if len(data) < needed:
        refuse(path, "the file is truncated", f"{needed} bytes of voxels are announced, {len(data)} are there")
    while file.read(1 << 20):
        pass
    return np.frombuffer(data, dtype=header.get_data_dtype()).reshape(shape_of(header), order="F")


def _scaled(stored: Array, header: Header) -> Array:
    """Apply scl_slope and scl_inter."""
    slope, intercept = header.get_slope_inter()
    plain = slope is None or (slope == 1 and intercept == 0)
    if plain and stored.dtype.kind in "iu":
        return stored.astype(stored.dtype.newbyteorder("="))
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.astype(np.float32) if plain else (stored * float(slope) + float(intercept)).astype(np.float32)


def _header_like(like: Path, labels: LabelMap) -> Header:
    """The header of `like` with everything taken out that is about its intensities."""
    with nifti_errors(like), opened(like) as file:
        old = read_header(like, file)
        if not grid_of_header(like, old)[0].same_space(labels.grid):
            raise ValueError(f"the mask ({labels.grid.describe()}) is not on the grid of {like}")
    header: Header = old.copy()
    header["magic"] = header.single_magic
    header.set_data_shape(shape_of(old)[:3])
    header["pixdim"][4:] = 1
    header.set_slope_inter(1, 0)
    for name in ABOUT_INTENSITIES:
        header[name] = 0
    header["intent_name"], header["aux_file"], header["descrip"] = b"", b"", b"segtrain mask"
    return header


def _header_of(grid: Grid) -> Header:
    """A fresh header in mm: sform as it is, qform as near as a quaternion comes."""
    header: Header = (Nifti2Header if max(grid.shape) > NIFTI1_LARGEST_AXIS else Nifti1Header)()
    header.set_data_shape(grid.shape)
    header.set_xyzt_units("mm")
    header.set_qform(grid.affine, code=1, strip_shears=True)
    header.set_sform(grid.affine, code=1)
    header.set_slope_inter(1, 0)
    header["descrip"] = b"segtrain"
    return header


def _write(path: Path, array: Array, header: Header) -> None:
    header = header.as_byteswapped("<")
    header.set_data_dtype(array.dtype)
    header["vox_offset"] = header.single_vox_offset
    data = header.binaryblock + bytes(4) + array.astype(array.dtype.newbyteorder("<")).tobytes(order="F")
    write_bytes(path, _gzipped(data) if path.name.lower().endswith(".gz") else data)


def _gzipped(data: bytes) -> bytes:
    """Compressed without a time or a name inside, so that equal masks give equal files."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=6, mtime=0) as file:
        file.write(data)
    return packed.getvalue()
