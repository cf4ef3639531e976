"""The border to NIfTI headers: what a file claims to be, checked before a voxel is read.

The header is taken as it is stored: `nibabel.load` mends negative spacings silently and looks at nothing else.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from segtrain.core.errors import OutOfMemory, Problem, UnreadableScan
from segtrain.core.machine import available_ram_bytes

Header = Nifti1Header | Nifti2Header

SUFFIXES = (".nii.gz", ".nii")
PAIRED = {".hdr": ".img", ".hdr.gz": ".img.gz"}
"""The header of a pair -> the file of its voxels."""
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_GZIP_RATIO = 1040
"""Deflate cannot pack more than 1032 bytes into one (zlib's technical details); a little room for the header."""
NIFTI1_BYTES, NIFTI2_BYTES = 348, 540
NO_ROOM, SMALLER = "a scan does not fit into memory", "crop it, or use a larger machine"
KNOWN_CONTENT = (
    (b"<", "it holds HTML or XML: probably the error page of a download"),
    (b"\x89HDF", "it is an HDF5 file"),
)


def is_nifti(path: Path) -> bool:
    """Whether a name ends in `.nii` or `.nii.gz`."""
    return path.name.lower().endswith(SUFFIXES)


@contextmanager
def nifti_errors(path: Path) -> Iterator[None]:
    """Translate what nibabel, zlib and the system raise."""
    try:
        yield
    except (OSError, EOFError, zlib.error, HeaderDataError, WrapStructError) as error:
        if isinstance(error, FileNotFoundError):
            refuse(path, "there is no such file", "", "check the path and the spelling")
        if isinstance(error, PermissionError | IsADirectoryError):
            refuse(path, "the file cannot be opened", error.strerror or str(error), "check its permissions")
        why = {EOFError: "it ends in the middle of the compressed data", zlib.error: "its compressed data are damaged"}
        refuse(path, "the file is damaged", why.get(type(error), str(error)))
    except MemoryError as error:
        raise OutOfMemory(Problem(NO_ROOM, str(path), hint=SMALLER)) from error


def refuse(path: Path, what: str, why: str, hint: str = "copy it again from its source, or leave it out") -> NoReturn:
    """Raise UnreadableScan about one file."""
    raise UnreadableScan(Problem(what, str(path), why, hint))


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's plain bytes, after a look at what it really is."""
    with path.open("rb") as file:
        _check_kind(path, file.read(8), _is_packed(path))
    with opened_voxels(path) as content:
        yield content


@contextmanager
def opened_voxels(path: Path) -> Iterator[BinaryIO]:
    """The plain bytes of a file that may begin with anything."""
    with path.open("rb") as file:
        if not _is_packed(path):
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(BinaryIO, unpacked)


def voxels_of(path: Path) -> Path:
    """The file that holds the voxels: of a pair, the one beside the header. Raises UnreadableScan where it is not."""
    for header, voxels in PAIRED.items():
        if path.name.lower().endswith(header):
            name = path.name[: -len(header)]
            either = [path.with_name(name + voxels), path.with_name(name + voxels.upper())]
            there = [file for file in either if file.is_file()]
            if not there:
                refuse(path, "the file with the voxels is missing", f"{either[0].name} is not there", "copy both files")
            return there[0]
    return path


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _check_kind(path: Path, start: bytes, packed: bool) -> None:
    """Refuse files that are something else than their name says, in words."""
    if not start:
        refuse(path, "the file is empty", "it has 0 bytes")
    for magic, why in KNOWN_CONTENT:
        if start.lstrip().startswith(magic):
            refuse(path, "this is not a NIfTI file", why)
    if packed and not start.startswith(GZIP_MAGIC):
        refuse(path, "the file is not compressed", "its name ends in .gz", f"rename it to {path.name[:-3]}")
    if not packed and start.startswith(GZIP_MAGIC):
        refuse(path, "the file is compressed", "its name does not end in .gz", f"rename it to {path.name}.gz")


def read_header(path: Path, file: BinaryIO) -> Header:
    """The header as it is stored, unmended, with a shape that the file can hold."""
    block = file.read(NIFTI1_BYTES)
    size = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
    if NIFTI2_BYTES in size:
        block += file.read(NIFTI2_BYTES - NIFTI1_BYTES)
    elif NIFTI1_BYTES not in size:
        refuse(path, "this is not a NIfTI file", f"its header begins with {block[:8]!r}")
    if len(block) < min(size & {NIFTI1_BYTES, NIFTI2_BYTES}):
        refuse(path, "the file is truncated", f"it ends after {len(block)} bytes, within its header")
    header: Header = (Nifti2Header if NIFTI2_BYTES in size else Nifti1Header)(block, check=False)
    _check_magic(path, header)
    _check_header(path, header)
    return header


def _check_magic(path: Path, header: Header) -> None:
    """Refuse what does not say that it is a NIfTI file, or says that its voxels lie elsewhere than its name does."""
    single, magic = is_nifti(path), header["magic"].item()
    if magic == (header.single_magic if single else header.pair_magic):
        return
    hint = "convert it to one .nii.gz file (nib-convert)"
    if single and magic == header.pair_magic:
        refuse(path, "the voxels are not where its name says", "it is the header of a pair", hint)
    if single or magic:
        why = f"it calls itself {magic!r}, not {header.single_magic if single else header.pair_magic!r}"
        refuse(path, "this is not a NIfTI file, or a damaged one", why, "copy it again from its source")
    refuse(path, "this is not a NIfTI file", "it is Analyze 7.5, which does not say left from right", hint)


def _check_header(path: Path, header: Header) -> None:
    """Refuse shapes, spacings and voxel types that make no scan, before anything is allocated."""
    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        refuse(path, "the header is damaged", f"it claims {axes} axes")
    shape = shape_of(header)
    try:
        dtype, unit = header.get_data_dtype(), header.get_xyzt_units()[0]
    except KeyError as error:
        refuse(path, "the header is damaged", f"its voxel type or unit has the unknown code {error}")
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        hint = "save one 3D scan a file; a fourth axis is read as channels"
        refuse(path, "the shape is not that of a scan", f"it has the shape {shape}", hint)
    if dtype.kind not in "iuf":
        kind = "colours" if dtype.fields else "complex numbers" if dtype.kind == "c" else "of no known type"
        refuse(path, f"the voxels are {kind}", "a scan has one real number a voxel", "save it as grey values")
    spacing = header["pixdim"][1 : 1 + min(3, len(shape))]
    # Of an axis with one voxel a spacing of 0 says nothing, where the sform has its step.
    needed = spacing[[n > 1 or spacing[i] != 0 or not header["sform_code"] for i, n in enumerate(shape[:3])]]
    if not (np.isfinite(spacing).all() and (needed > 0).all()):
        shown = ", ".join(f"{s:g}" for s in spacing)
        refuse(path, "the voxel spacing is not positive", f"pixdim is {shown}", "set the spacing in mm and save again")
    if unit in ("meter", "micron"):
        refuse(path, f"the spacing is in {unit}s", "segtrain measures in mm", "save the file again in mm")
    _check_size(path, header)


def _check_size(path: Path, header: Header) -> None:
    """Compare the bytes that the header claims with what the file can hold."""
    claimed = offset_of(path, header) + voxel_bytes(header)
    there = voxels_of(path).stat().st_size
    shape = "x".join(map(str, shape_of(header)))
    if not _is_packed(path):
        if there < claimed:
            refuse(path, "the file is truncated", f"{shape} voxels need {claimed} bytes, {there} are there")
    elif claimed > there * LARGEST_GZIP_RATIO:
        refuse(path, "the header is damaged", f"{shape} voxels ({claimed / 1e9:.3g} GB) cannot be in {there} bytes")
    free = available_ram_bytes()
    if free is not None and claimed > free:  # a system may end a process that asks for it, without a word
        why = f"{shape} voxels take {claimed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free"
        raise OutOfMemory(Problem(NO_ROOM, str(path), why, SMALLER))


def shape_of(header: Header) -> tuple[int, ...]:
    """The shape without axes of length 1 beyond the third.

    SimpleITK writes several channels as (x, y, z, 1, channels), because the fourth axis is time in NIfTI.
    """
    shape = tuple(int(n) for n in header.get_data_shape())
    return (*shape[:3], *(n for n in shape[3:] if n != 1))


def voxel_bytes(header: Header) -> int:
    """Bytes that the voxels take, without overflow."""
    count = 1
    for n in shape_of(header):
        count *= n
    return count * int(header.get_data_dtype().itemsize)


def offset_of(path: Path, header: Header) -> int:
    """Where the voxels begin; 0 stands for right after the header."""
    offset = float(header["vox_offset"])
    smallest = NIFTI2_BYTES if isinstance(header, Nifti2Header) else NIFTI1_BYTES
    if voxels_of(path) != path:
        smallest = 0
    elif offset == 0:
        return int(header.single_vox_offset)
    if not (offset >= smallest and offset.is_integer()):
        refuse(path, "the header is damaged", f"its voxels would begin at byte {offset:g}")
    return int(offset)
