"""The border to NIfTI: nibabel understands the header, and every byte is read and checked here.

Why not `nibabel.load`: it reads the header only, memory-maps what a writer may overwrite, mends negative
spacings silently, and stops before the checksum at the end of a `.nii.gz`, so that a flipped bit can pass.
Why not SimpleITK: it fills a truncated file with zeros.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from segtrain.core.errors import Problem, ResourceError, UnreadableScan
from segtrain.core.files import write_bytes
from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume

Array = NDArray[Any]
Header = Nifti1Header | Nifti2Header

SUFFIXES = (".nii.gz", ".nii")
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_GZIP_RATIO = 1040
"""Deflate cannot pack more than 1032 bytes into one (zlib's technical details); a little room for the header."""
NIFTI1_BYTES, NIFTI2_BYTES = 348, 540
NIFTI1_LARGEST_AXIS = 32767
KNOWN_CONTENT = (
    (b"<", "it holds HTML or XML: probably the error page of a download"),
    (b"\x89HDF", "it is an HDF5 file"),
)


def is_nifti(path: Path) -> bool:
    """Whether a name ends in `.nii` or `.nii.gz`."""
    return path.name.lower().endswith(SUFFIXES)


def read_nifti(path: Path) -> Volume:
    """Read all of a file: integers as they are stored, everything else float32 with scl_slope applied.

    2D becomes one slice, the fourth axis becomes channels. Raises UnreadableScan for a damaged, truncated or
    absurd file and for voxels that are not finite, ResourceError where memory does not suffice.
    """
    with _reading(path), _opened(path) as file:
        header = _read_header(path, file)
        grid = _grid_of(path, header)
        stored = _read_voxels(path, file, header)
        array = _scaled(path, stored, header)
    return Volume(np.ascontiguousarray(np.moveaxis(array.reshape((*grid.shape, -1)), -1, 0)), grid)


def read_nifti_grid(path: Path) -> Grid:
    """Read where the voxels lie, from the header alone. Raises UnreadableScan."""
    with _reading(path), _opened(path) as file:
        return _grid_of(path, _read_header(path, file))


def write_nifti(path: Path, labels: LabelMap, *, like: Path | None = None) -> None:
    """Write a mask in the smallest of uint8, uint16 and int32; equal masks give equal bytes.

    With `like`, shape, affine, sform and qform are bit for bit those of that file, on whose grid `labels` must
    lie (ValueError otherwise). A `.nii.gz` is compressed. Raises ResourceError where it cannot be written.
    """
    array = labels.array.astype(_smallest_dtype(labels.array))
    header = _header_like(like, labels) if like else _header_of(labels.grid)
    header = header.as_byteswapped("<") if header.endianness != "<" else header
    header.set_data_dtype(array.dtype)
    header["vox_offset"] = header.single_vox_offset
    data = header.binaryblock + bytes(4) + array.astype(array.dtype.newbyteorder("<")).tobytes(order="F")
    write_bytes(path, _gzipped(data) if path.name.lower().endswith(".gz") else data)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate what nibabel, zlib and the system raise."""
    try:
        yield
    except (OSError, EOFError, zlib.error, HeaderDataError, WrapStructError) as error:
        if isinstance(error, FileNotFoundError):
            _refuse(path, "there is no such file", "", "check the path and the spelling")
        if isinstance(error, PermissionError | IsADirectoryError):
            _refuse(path, "the file cannot be opened", error.strerror or str(error), "check its permissions")
        why = {EOFError: "it ends in the middle of the compressed data", zlib.error: "its compressed data are damaged"}
        _refuse(path, "the file is damaged", why.get(type(error), str(error)))
    except MemoryError as error:
        problem = Problem("a scan does not fit into memory", str(path), hint="crop it, or use a larger machine")
        raise ResourceError(problem) from error


def _refuse(path: Path, what: str, why: str, hint: str = "copy it again from its source, or leave it out") -> NoReturn:
    raise UnreadableScan(Problem(what, str(path), why, hint))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's plain bytes, after a look at what it really is."""
    packed = path.name.lower().endswith(".gz")
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        _check_kind(path, start, packed)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(BinaryIO, unpacked)


def _check_kind(path: Path, start: bytes, packed: bool) -> None:
    """Refuse files that are something else than their name says, in words."""
    if not start:
        _refuse(path, "the file is empty", "it has 0 bytes")
    for magic, why in KNOWN_CONTENT:
        if start.lstrip().startswith(magic):
            _refuse(path, "this is not a NIfTI file", why)
    if packed and not start.startswith(GZIP_MAGIC):
        _refuse(path, "the file is not compressed", "its name ends in .gz", f"rename it to {path.name[:-3]}")
    if not packed and start.startswith(GZIP_MAGIC):
        _refuse(path, "the file is compressed", "its name does not end in .gz", f"rename it to {path.name}.gz")


def _read_header(path: Path, file: BinaryIO) -> Header:
    """The header as it is stored, unmended, with a shape that the file can hold."""
    block = file.read(NIFTI1_BYTES)
    size = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
    if NIFTI2_BYTES in size:
        block += file.read(NIFTI2_BYTES - NIFTI1_BYTES)
    elif NIFTI1_BYTES not in size:
        _refuse(path, "this is not a NIfTI file", f"its header begins with {block[:8]!r}")
    if len(block) < min(size & {NIFTI1_BYTES, NIFTI2_BYTES}):
        _refuse(path, "the file is truncated", f"it ends after {len(block)} bytes, within its header")
    header: Header = (Nifti2Header if NIFTI2_BYTES in size else Nifti1Header)(block, check=False)
    if not bytes(header["magic"]).startswith(b"n+"):
        hint = "convert it to one .nii.gz file (nib-convert)"
        _refuse(path, "the voxels are in another file", "it is the header of a .hdr/.img pair, or Analyze", hint)
    _check_header(path, header)
    return header


def _check_header(path: Path, header: Header) -> None:
    """Refuse shapes, spacings and voxel types that make no scan, before anything is allocated."""
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        _refuse(path, "the header is damaged", f"it claims {axes} axes")
    shape = _shape(header)
    dtype = header.get_data_dtype()
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        hint = "save one 3D scan a file; a fourth axis is read as channels"
        _refuse(path, "the shape is not that of a scan", f"it has the shape {shape}", hint)
    if dtype.kind not in "iuf":
        kind = "colours" if dtype.fields else "complex numbers" if dtype.kind == "c" else str(dtype)
        _refuse(path, f"the voxels are {kind}", "a scan has one real number a voxel", "save it as grey values")
    spacing = np.asarray(header["pixdim"][1 : 1 + min(3, len(shape))], dtype=np.float64)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        shown = ", ".join(f"{s:g}" for s in spacing)
        _refuse(path, "the voxel spacing is not positive", f"pixdim is {shown}", "set the spacing in mm and save again")
    unit = header.get_xyzt_units()[0]
    if unit in ("meter", "micron"):
        _refuse(path, f"the spacing is in {unit}s", "segtrain measures in mm", "save the file again in mm")
    _check_size(path, header)


def _check_size(path: Path, header: Header) -> None:
    """Compare the bytes that the header claims with what the file can hold."""
    claimed = _offset(path, header) + _voxel_bytes(header)
    there = path.stat().st_size
    shape = "x".join(map(str, _shape(header)))
    if not path.name.lower().endswith(".gz"):
        if there < claimed:
            _refuse(path, "the file is truncated", f"{shape} voxels need {claimed} bytes, {there} are there")
    elif claimed > there * LARGEST_GZIP_RATIO:
        _refuse(path, "the header is damaged", f"{shape} voxels ({claimed / 1e9:.3g} GB) cannot be in {there} bytes")


def _shape(header: Header) -> tuple[int, ...]:
    """The shape without trailing axes of length 1 beyond the third."""
    shape = tuple(int(n) for n in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _voxel_bytes(header: Header) -> int:
    count = 1
    for n in _shape(header):
        count *= n
    return count * int(header.get_data_dtype().itemsize)


def _offset(path: Path, header: Header) -> int:
    """Where the voxels begin; 0 stands for right after the header."""
    offset = float(header["vox_offset"])
    smallest = NIFTI2_BYTES if isinstance(header, Nifti2Header) else NIFTI1_BYTES
    if offset == 0:
        return int(header.single_vox_offset)
    if not (offset >= smallest and offset.is_integer()):
        _refuse(path, "the header is damaged", f"its voxels would begin at byte {offset:g}")
    return int(offset)


def _grid_of(path: Path, header: Header) -> Grid:
    x, y, z = (*_shape(header), 1)[:3]
    try:
        return Grid((x, y, z), header.get_best_affine())
    except ValueError as error:
        hint = "set sform and qform anew (for example with nibabel) and save it again"
        _refuse(path, "the file does not say where its voxels lie", str(error), hint)


def _read_voxels(path: Path, file: BinaryIO, header: Header) -> Array:
    """The stored numbers, little-endian or not as they are; a compressed file is read to its checksum."""
    ahead = _offset(path, header) - len(header.binaryblock)
    needed = _voxel_bytes(header)
    file.read(ahead)
    data = file.read(needed)
    if len(data) < needed:
        _refuse(path, "the file is truncated", f"{needed} bytes of voxels are announced, {len(data)} are there")
    while file.read(1 << 20):
        pass
    return np.frombuffer(data, dtype=header.get_data_dtype()).reshape(_shape(header), order="F")


def _scaled(path: Path, stored: Array, header: Header) -> Array:
    """Apply scl_slope and scl_inter; refuse voxels that are not finite."""
    slope, intercept = header.get_slope_inter()
    plain = slope is None or (slope == 1 and intercept == 0)
    if plain and stored.dtype.kind in "iu":
        return stored.astype(stored.dtype.newbyteorder("="))
    with np.errstate(over="ignore", invalid="ignore"):
        array = stored.astype(np.float32) if plain else (stored * float(slope) + float(intercept)).astype(np.float32)
    broken = int(array.size - np.isfinite(array).sum())
    if broken:
        hint = "replace them, for example by the value of air, and save it again"
        why = f"{broken} of {array.size} voxels are NaN or infinite"
        _refuse(path, "some voxels are not numbers", why, hint)
    return array


def _smallest_dtype(array: Array) -> np.dtype[Any]:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in (np.uint8, np.uint16, np.int32):
        bounds = np.iinfo(dtype)
        if bounds.min <= low and high <= bounds.max:
            return np.dtype(dtype)
    raise ValueError(f"label ids from {low} to {high} do not fit into 32 bits")


def _header_like(like: Path, labels: LabelMap) -> Header:
    """The header of `like` with everything taken out that is about its intensities."""
    with _reading(like), _opened(like) as file:
        old = _read_header(like, file)
        if not _grid_of(like, old).same_space(labels.grid):
            raise ValueError(f"the mask ({labels.grid.describe()}) is not on the grid of {like}")
    header: Header = old.copy()
    header.set_data_shape(_shape(old)[:3])
    header["pixdim"][4:] = 1
    header.set_slope_inter(1, 0)
    for name in ("cal_max", "cal_min", "slice_duration", "toffset", "intent_code", "intent_p1", "intent_p2"):
        header[name] = 0
    header["intent_p3"] = 0
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
    header["descrip"] = b"segtrain mask"
    return header


def _gzipped(data: bytes) -> bytes:
    """Compressed without a time or a name inside, so that equal masks give equal files."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=6, mtime=0) as file:
        file.write(data)
    return packed.getvalue()
