"""Voxels that a header describes: counted, decompressed to their checksum, and never made up.

MetaImage and NRRD say in words how their voxels are stored, and here they are read by those words. Why not SimpleITK,
which writes both: it answers a flipped bit in a compressed `.mha` with success and other voxels, takes a `.nrrd`
without its last four bytes, and writes to stderr.
"""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import Problem, ResourceError, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.data.inside import path_below

Encoding = Literal["raw", "deflate", "bzip2", "text"]
"""deflate: gzip or zlib, whichever it is."""

LARGEST_RATIO = {"deflate": 1040, "text": 1}
"""Values a byte of the file at most. Deflate cannot pack more than 1032 (zlib's technical details), a number in words
takes a digit and a blank. There is no such bound for bzip2, which counts equal bytes: an empty mask of 79 MB takes 82.
"""
CHUNK = 1 << 20
"""Bytes read and unpacked at a time, and how many may be there beyond those that are announced."""
EXACT = 2**53
"""Whole numbers up to here are what they are as floats."""
ANY_WRAPPER = 47
"""What tells zlib to expect gzip or zlib."""
HINT = "copy it again from its source, or leave it out"


@dataclass(frozen=True, eq=False)
class VoxelFile:
    """Where the voxels are, how they are stored, and where they lie."""

    header: Path
    parts: tuple[Path, ...]
    """The files that hold the voxels, slowest axis last; the header itself where it does."""
    skip: int
    """Bytes ahead of the voxels in each part; -1: they are the last ones."""
    encoding: Encoding
    dtype: np.dtype[Any]
    """With its byte order."""
    shape: tuple[int, ...]
    """Length of each axis, fastest first."""
    channel_axis: int | None
    """The axis that is none of space; a file of three axes or fewer may have none."""
    grid: Grid
    notes: tuple[str, ...] = ()

    @property
    def bytes_needed(self) -> int:
        """Of all voxels, unpacked."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


def refuse(path: Path, what: str, why: str, hint: str = HINT) -> NoReturn:
    """Raise UnreadableScan about one file."""
    raise UnreadableScan(Problem(what, str(path), why, hint))


def read_voxels(file: VoxelFile) -> NDArray[Any]:
    """Voxels (C, X, Y, Z) in the byte order of this machine. Raises UnreadableScan, ResourceError."""
    with _errors(file.header):
        _check_sizes(file)
        needed = file.bytes_needed // len(file.parts)
        pieces = []
        for part in file.parts:
            piece = _unpacked(file, part, needed)
            if len(piece) < needed:
                why = f"{needed} bytes of voxels are announced, {len(piece)} are there"
                refuse(part, "the file is truncated", why)
            pieces.append(np.frombuffer(piece, dtype=file.dtype, count=needed // file.dtype.itemsize))
        flat = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    array: NDArray[Any] = flat.reshape(file.shape, order="F")
    axis = file.channel_axis
    channels = array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)
    whole = channels.reshape((len(channels), *file.grid.shape))
    return np.array(whole, dtype=file.dtype.newbyteorder("="), order="C")


def companion(header: Path, name: str) -> Path:
    """A file that a header names; it lies in the folder of the header or below. Raises UnreadableScan."""
    outside: list[Problem] = []
    path = path_below(header.parent, name.replace("\\", "/"), str(header), outside)
    if path is None:
        refuse(header, "the header points out of its folder or nowhere", f"to {name}: {outside[0].why}")
    if not path.is_file():
        refuse(header, "the file with the voxels is missing", f"{name} is not there", "copy both files")
    return path


def is_list(place: str) -> bool:
    """Whether a header names the files of the voxels one by one: `LIST`, which `list_of_slices.raw` is not."""
    return place.split()[:1] == ["LIST"]


@contextmanager
def header_errors(path: Path) -> Iterator[None]:
    """Translate what reading and understanding a header raises into UnreadableScan."""
    try:
        yield
    except OSError as error:
        refuse(path, "the file cannot be read", error.strerror or str(error))
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        refuse(path, "the header is damaged", f"it cannot be understood ({error})")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Translate what the system and the packers raise."""
    try:
        yield
    except (zlib.error, EOFError, ValueError) as error:
        refuse(path, "the file is damaged", f"its voxels cannot be unpacked ({error})")
    except OSError as error:  # bz2 raises it as well, without a number
        what = "the file cannot be read" if error.errno else "the file is damaged"
        refuse(path, what, error.strerror or str(error))
    except MemoryError as error:
        problem = Problem("a scan does not fit into memory", str(path), hint="crop it, or use a larger machine")
        raise ResourceError(problem) from error


def _check_sizes(file: VoxelFile) -> None:
    """What the header claims against what the files can hold, before anything is allocated."""
    there = sum(part.stat().st_size for part in file.parts) - max(file.skip, 0) * len(file.parts)
    shape = "x".join(map(str, file.shape))
    if file.encoding == "raw":
        if there < file.bytes_needed:
            why = f"{shape} voxels need {file.bytes_needed} bytes, {max(there, 0)} are there"
            refuse(file.header, "the file is truncated", why)
    elif file.bytes_needed > max(there, 0) * LARGEST_RATIO.get(file.encoding, math.inf) * file.dtype.itemsize:
        why = f"{shape} voxels ({file.bytes_needed / 1e9:.3g} GB) cannot be in {max(there, 0)} bytes"
        refuse(file.header, "the header is damaged", why)


def _unpacked(file: VoxelFile, part: Path, needed: int) -> bytes | bytearray:
    """The bytes of one part; more than needed or fewer, as they are."""
    with part.open("rb") as content:
        content.seek(*((-needed, 2) if file.skip < 0 else (file.skip, 0)))
        if file.encoding == "raw":
            return content.read(needed)
        if file.encoding == "text":
            return _numbers_in_words(part, content.read(), file.dtype)
        return _inflated(content, bz2.BZ2Decompressor if file.encoding == "bzip2" else _Deflate, needed)


def _numbers_in_words(part: Path, text: bytes, dtype: np.dtype[Any]) -> bytes:
    """The bytes of numbers in words. UnreadableScan where one is not of this type: a cast would change it unseen."""
    numbers = np.array(text.split(), dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        stored = numbers.astype(dtype)
    if dtype.kind in "iu":
        wrong = (stored.astype(np.float64) != numbers) | (np.abs(numbers) > EXACT)
        if wrong.any():
            why = f"{int(wrong.sum())} of {numbers.size} are no {dtype.name}, as {numbers[wrong][0]:g}"
            refuse(part, "values are not of the type that the header announces", why, "save it again as floats")
    return stored.tobytes()


class _Unpacker(Protocol):
    """What the decompressors of bz2 and ours of zlib have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Deflate:
    """zlib's decompressor, with the words of that of bz2."""

    def __init__(self) -> None:
        self._zlib, self.needs_input = zlib.decompressobj(ANY_WRAPPER), True

    @property
    def eof(self) -> bool:
        """Whether the member is read to its checksum."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """What follows the member."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most so many bytes; the rest comes with the next call."""
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = len(piece) < max_length
        return piece


def _inflated(content: BinaryIO, fresh: Callable[[], _Unpacker], needed: int) -> bytearray:
    """All members of a stream, each read to its checksum, in pieces: a few bytes may unpack to gigabytes.

    Raises EOFError where the stream ends within a member, ValueError where far more comes than is needed.
    """
    data, unpacker = bytearray(), fresh()
    while len(data) <= needed + CHUNK:
        if unpacker.eof:
            packed = b"" if len(data) >= needed else unpacker.unused_data or content.read(CHUNK)
            if not packed:
                return data
            unpacker = fresh()
        else:
            packed = content.read(CHUNK) if unpacker.needs_input else b""
            if not packed and unpacker.needs_input:
                raise EOFError("it ends in the middle of the compressed data")
        data += unpacker.decompress(packed, CHUNK)
    raise ValueError(f"{needed} bytes are announced, and more come")
