"""MetaImage headers, `.mha` and `.mhd`: lines of `Key = value`, the last of which says where the voxels are.

Written after ITK's MetaIO, which calls each line of TransformMatrix the direction of one axis, in LPS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from segtrain.data.files.itk_geometry import grid_in_lps
from segtrain.data.files.segments import names_in_header
from segtrain.data.files.voxel_file import Encoding, VoxelFile, companion, header_errors, is_list, refuse

TYPES: Mapping[str, str] = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
ALIASES: Mapping[str, tuple[str, ...]] = {
    "matrix": ("transformmatrix", "rotation", "orientation"),
    "origin": ("offset", "position", "origin"),
    "spacing": ("elementspacing", "elementsize"),
    "big_endian": ("elementbyteordermsb", "binarydatabyteordermsb"),
}
"""Words that MetaIO takes for one another."""
HEADER_BYTES = 1 << 20
"""Far more than any header, with a dozen lines a segment; a file without an end of it is none."""


def read_meta_header(path: Path) -> VoxelFile:
    """What a `.mha` or `.mhd` says about its voxels. Raises UnreadableScan."""
    with header_errors(path):
        return _voxel_file(path)


def segment_names(path: Path) -> dict[int, str]:
    """Id -> name, as `write_itk` and 3D Slicer give them; empty where there are none. Raises UnreadableScan."""
    with header_errors(path):
        return names_in_header(_text(path)[0])


def _voxel_file(path: Path) -> VoxelFile:
    fields, end = _fields(path)
    axes = _axes(path, fields)
    sizes = _whole(path, fields, "dimsize", count=axes)
    channels = _one(path, fields, "elementnumberofchannels", 1)
    if channels < 1:
        refuse(path, "the shape is not that of a scan", f"it has {channels} values a voxel")
    kind = fields.get("elementtype", "").upper()
    if kind not in TYPES:
        hint = "save it as whole numbers or floats, without colours"
        refuse(path, "the voxels are of no known type", f"its ElementType is {kind or 'not there'}", hint)
    parts, skip = _voxels(path, fields, end)
    matrix = np.reshape(_numbers(path, fields, "matrix", np.eye(axes).ravel(), count=axes**2), (axes, axes))
    spacing = _numbers(path, fields, "spacing", [1.0] * axes, count=axes)
    origin = _numbers(path, fields, "origin", [0.0] * axes, count=axes)
    grid, notes = grid_in_lps(path, sizes, np.asarray(matrix).T, spacing, origin)
    if axes == 4 and channels > 1:
        refuse(path, "the shape is not that of a scan", "it has four axes and several values a voxel")
    return VoxelFile(
        header=path,
        parts=parts,
        skip=skip,
        encoding=_encoding(fields),
        dtype=np.dtype(TYPES[kind]).newbyteorder(">" if _is_true(fields, "big_endian") else "<"),
        shape=sizes if channels == 1 else (channels, *sizes),
        channel_axis=3 if axes == 4 else 0 if channels > 1 else None,
        grid=grid,
        notes=notes,
    )


def _text(path: Path) -> tuple[str, int]:
    """The header, and where it ends."""
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    at = start.lower().find(b"elementdatafile")
    if at < 0:
        refuse(path, "this is not a MetaImage file", "it has no line ElementDataFile")
    end = start.find(b"\n", at) + 1 or len(start)
    return start[:end].decode("utf-8", errors="replace"), end


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The lines by lower-case key, and where the header ends."""
    text, end = _text(path)
    words = {"elementdatafile": ""}
    for key, equals, value in (line.partition("=") for line in text.splitlines()):
        if equals:
            words[key.strip().lower()] = value.strip()
    for name, aliases in ALIASES.items():
        known = next((words[alias] for alias in aliases if alias in words), None)
        if known is not None:
            words[name] = known
    return words, end


def _axes(path: Path, fields: Mapping[str, str]) -> int:
    axes = _one(path, fields, "ndims")
    if not 2 <= axes <= 4:
        hint = "save one 3D scan a file; a fourth axis is read as channels"
        refuse(path, "the shape is not that of a scan", f"it has {axes} axes", hint)
    return axes


def _one(path: Path, fields: Mapping[str, str], key: str, *default: float) -> int:
    return _whole(path, fields, key, default, count=1)[0]


def _whole(
    path: Path, fields: Mapping[str, str], key: str, default: Iterable[float] = (), *, count: int
) -> tuple[int, ...]:
    """Whole numbers of a line, as `_numbers`."""
    found = _numbers(path, fields, key, default, count=count)
    if not all(number.is_integer() for number in found):
        refuse(path, "the header is damaged", f"{key} is {fields[key]!r}, not {count} whole numbers")
    return tuple(int(number) for number in found)


def _numbers(path: Path, fields: Mapping[str, str], key: str, default: Iterable[float], *, count: int) -> list[float]:
    """The numbers of a line; the default where it is not there. Raises UnreadableScan where they are not so many."""
    try:
        found = [float(word) for word in (fields[key].split() if key in fields else default)]
    except ValueError:
        found = []
    if len(found) != count:
        refuse(path, "the header is damaged", f"{key} is {fields.get(key, 'not there')!r}, not {count} numbers")
    return found


def _is_true(fields: Mapping[str, str], key: str) -> bool:
    return fields.get(key, "").lower().startswith(("t", "1", "y"))


def _encoding(fields: Mapping[str, str]) -> Encoding:
    if not _is_true(fields, "binarydata"):
        return "text"
    return "deflate" if _is_true(fields, "compresseddata") else "raw"


def _voxels(path: Path, fields: Mapping[str, str], end: int) -> tuple[tuple[Path, ...], int]:
    """The files of the voxels, and the bytes ahead of them."""
    place = fields["elementdatafile"]
    if place.upper() in ("LOCAL", ""):
        return (path,), end
    if is_list(place):
        with path.open("rb") as file:
            names = file.read(HEADER_BYTES)[end:].decode("utf-8", errors="replace").split("\n")
        return tuple(companion(path, name.strip()) for name in names if name.strip()), _skip(path, fields)
    if "%" in place:
        refuse(path, "the voxels are in numbered files", place, "convert it to one .mha file")
    return (companion(path, place),), _skip(path, fields)


def _skip(path: Path, fields: Mapping[str, str]) -> int:
    return max(-1, _one(path, fields, "headersize", 0))
