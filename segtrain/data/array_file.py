"""Named arrays with a little text in one file, mapped and not read: the safetensors format.

One file comes to be by one rename, so it is whole or not there on every system, and the halves of two writers cannot
mix. Arrays lie in it as in memory: on real scans (`python -m benchmarks store`) a patch out of blosc2 takes two to
twenty times as long once the scan is in the page cache, and about as long when it is not, for a third to two thirds of
the disk. float16 would save 40 % and cost up to three times as long, to unpack; float32 is what the network gets.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from segtrain.core.errors import DataError, Problem
from segtrain.core.files import checked_file, whole_cache_file

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.float32), "I32": np.dtype(np.int32), "U8": np.dtype(np.uint8)}
"""Numbers that are kept here, by their name in the format."""
ABOUT, CHECK = "about", "sha256"
LENGTH_BYTES = 8
"""The file begins with the length of its header; the arrays follow the header."""


@dataclass(frozen=True)
class _Place:
    """Where an array lies in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def end(self) -> int:
        return self.start + self.count * self.dtype.itemsize


def write_arrays(path: Path, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write arrays of the `DTYPES`, and plain values about them; a file that is there is replaced whole.

    The same content makes the same bytes: the format keeps several texts in no order, so there is one. Raises
    ResourceError.
    """
    with whole_cache_file(path) as temporary:
        _save(temporary, arrays, about)


def write_checked_arrays(path: Path, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """As `write_arrays`, for small ones: with a hash, instead of waiting until they are on the disk."""
    with checked_file(path) as temporary:
        _save(temporary, arrays, {**about, CHECK: _digest(arrays, about)})


def read_checked_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """What `write_checked_arrays` wrote, in memory. Raises DataError where that is not what is there."""
    mapped = MappedArrays(path)
    arrays = {name: np.array(array) for name, array in mapped.items()}
    about = {key: value for key, value in mapped.about.items() if key != CHECK}
    if mapped.about.get(CHECK) != _digest(arrays, about):
        raise _unusable(path, ValueError("its content is not what was written"))
    return arrays, about


class MappedArrays(Mapping[str, Array]):
    """The arrays of a file, read-only. Every look maps the file anew, and lets go of it with the array.

    Maps that stay would each keep a file open, and what was read through them would count as this process's memory:
    with thousands of cases, too many of the one and too much of the other. To map takes 30 microseconds.
    """

    def __init__(self, path: Path) -> None:
        """Read where the arrays lie, and no voxel. Raises DataError where the file is not whole."""
        self._path = path
        try:
            self.about, self._places = _read_header(path)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise _unusable(path, error) from error

    def __getitem__(self, name: str) -> Array:
        place = self._places[name]
        try:
            with self._path.open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise _unusable(self._path, error) from error
        return np.frombuffer(content, place.dtype, place.count, place.start).reshape(place.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def is_whole(path: Path) -> bool:
    """Whether a file is there and has its full length; reads its header only."""
    try:
        MappedArrays(path)
    except DataError:
        return False
    return True


def _save(path: Path, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(whole, path, {ABOUT: json.dumps(about)})


def _digest(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _read_header(path: Path) -> tuple[dict[str, Any], dict[str, _Place]]:
    with path.open("rb") as file:
        there = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if length > there:
            raise ValueError("it ends within its header")
        header = json.loads(file.read(length))
    about = json.loads(header.pop("__metadata__")[ABOUT])
    first = LENGTH_BYTES + length
    places = {
        name: _Place(DTYPES[known["dtype"]], tuple(known["shape"]), first + known["data_offsets"][0])
        for name, known in header.items()
    }
    needed = max((place.end for place in places.values()), default=first)
    if there != needed:
        raise ValueError(f"it has {there} bytes, not {needed}")
    return about, places


def _unusable(path: Path, error: Exception) -> DataError:
    why = str(error.strerror) if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    hint = "delete it, where it is there; the same command with --resume makes it anew from the scan"
    return DataError(Problem("a prepared case cannot be read", str(path), why, hint))
