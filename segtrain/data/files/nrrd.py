"""NRRD headers, `.nrrd` and `.nhdr`: lines of `field: value` up to an empty line.

Written after teem.sourceforge.net/nrrd/format.html.

An axis whose space direction is `none`, or that is of another kind than domain or space, is read as channels: that is
where 3D Slicer puts the layers of a segmentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrain.data.files.itk_geometry import grid_in_lps
from segtrain.data.files.segments import names_in_header
from segtrain.data.files.voxel_file import Encoding, VoxelFile, companion, header_errors, is_list, refuse

TYPES: Mapping[str, str] = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
ENCODINGS: Mapping[str, Encoding] = {
    "raw": "raw",
    **dict.fromkeys(("gzip", "gz"), "deflate"),
    **dict.fromkeys(("bzip2", "bz2"), "bzip2"),
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
}
TO_LPS: Mapping[str, tuple[float, float, float]] = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
}
SPATIAL_KINDS = ("domain", "space", "???", "none", "")
NO_SPACE = "it does not say in which space it lies; LPS is assumed, as ITK does"
NO_SPACING = "it does not say how far apart its voxels are: 1 mm is assumed, as ITK does"
CELLS = "its axis mins are taken for the edge of the first voxel, as ITK does: it does not say centers"
HEADER_BYTES = 1 << 20
"""A segmentation of 3D Slicer has a dozen lines a segment."""
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "???", "")
UNIT = re.compile(r'"([^"]*)"')
VECTOR = re.compile(r"\([^)]*\)|none", re.IGNORECASE)


@dataclass(frozen=True)
class _Header:
    """The fields of a file, by lower-case name."""

    path: Path
    fields: Mapping[str, str]
    end: int
    """Where what follows the header begins."""
    listed: tuple[str, ...]
    """Lines after `data file: LIST`."""

    def words(self, name: str, count: int) -> list[str]:
        """The words of a field, as many as there are axes; empty where it is not there."""
        found = self.fields.get(name, "").split()
        if found and len(found) != count:
            refuse(self.path, "the header is damaged", f"{name}: {self.fields[name]!r} is not for {count} axes")
        return found

    def damaged(self, name: str) -> str:
        """What is wrong, in words."""
        return f"{name}: {self.fields.get(name, 'not there')!r} cannot be understood"


def read_nrrd_header(path: Path) -> VoxelFile:
    """What a `.nrrd` or `.nhdr` says about its voxels. Raises UnreadableScan."""
    with header_errors(path):
        return _voxel_file(_read(path))


def segment_names(path: Path) -> dict[int, str]:
    """Id -> name, as 3D Slicer writes them beside the voxels of a segmentation; empty where it names none.

    Raises UnreadableScan where the file cannot be opened.
    """
    with header_errors(path), path.open("rb") as file:
        text = re.split(rb"\r?\n\r?\n", file.read(HEADER_BYTES), maxsplit=1)[0].decode("utf-8", errors="replace")
    return names_in_header(text)


def _voxel_file(header: _Header) -> VoxelFile:
    path, fields = header.path, header.fields
    axes = int(fields["dimension"])
    sizes = tuple(int(word) for word in header.words("sizes", axes))
    if not 2 <= axes <= 4 or len(sizes) != axes:
        refuse(path, "the shape is not that of a scan", f"it has the shape {sizes} of {axes} axes")
    kind, encoding = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if kind not in TYPES or encoding not in ENCODINGS:
        why = header.damaged("encoding" if kind in TYPES else "type")
        refuse(path, "the voxels are stored in a way that is not read", why, "save it again with encoding raw or gzip")
    channel = _channel_axis(header, axes)
    spatial = [axis for axis in range(axes) if axis != channel]
    directions, spacing, origin, notes = _geometry(header, axes, spatial)
    grid, more = grid_in_lps(path, [sizes[a] for a in spatial], directions, spacing, origin)
    return VoxelFile(
        header=path,
        parts=_parts(header),
        skip=_skip(header),
        encoding=ENCODINGS[encoding],
        dtype=np.dtype(TYPES[kind]).newbyteorder(">" if fields.get("endian", "").lower() == "big" else "<"),
        shape=sizes,
        channel_axis=channel,
        grid=grid,
        notes=(*notes, *more),
    )


def _read(path: Path) -> _Header:
    """The text before the voxels."""
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    if not start.startswith(b"NRRD000"):
        refuse(path, "this is not a NRRD file", f"it begins with {start[:8]!r}")
    gap = re.search(rb"\r?\n\r?\n", start)
    end = gap.end() if gap else len(start)
    fields: dict[str, str] = {}
    listed: list[str] = []
    for line in start[:end].decode("utf-8", errors="replace").splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if is_list(fields.get("data file", "")):
            listed += [line.strip()] if line.strip() else []
        elif colon and not line.startswith("#") and ":=" not in name:
            key = name.strip().lower()
            fields["data file" if key == "datafile" else key] = value.strip()
    return _Header(path, fields, end, tuple(listed))


def _channel_axis(header: _Header, axes: int) -> int | None:
    """The axis that is none of space. Raises UnreadableScan where there are several, or colours."""
    kinds = [kind.lower() for kind in header.words("kinds", axes)] or ["domain"] * axes
    vectors = VECTOR.findall(header.fields.get("space directions", ""))
    none = [axis for axis, vector in enumerate(vectors) if vector.lower() == "none"]
    others = [axis for axis, kind in enumerate(kinds) if kind not in SPATIAL_KINDS]
    found = sorted({*none, *others})
    if any("color" in kinds[axis] for axis in found):
        refuse(header.path, "the voxels are colours", f"kinds: {' '.join(kinds)}", "save it as grey values")
    if not found and axes == 4:
        return 3
    if len(found) > 1 or axes - len(found) > 3 or axes - len(found) < 2:
        refuse(header.path, "the shape is not that of a scan", f"kinds: {' '.join(kinds)}")
    return found[0] if found else None


def _geometry(
    header: _Header, axes: int, spatial: Sequence[int]
) -> tuple[NDArray[np.float64], list[float], list[float], list[str]]:
    """Unit directions in columns, spacing and origin of the axes of space, in LPS; notes."""
    fields, count = header.fields, len(spatial)
    space = fields.get("space", "").lower()
    if space.endswith("-time") or space in ("rast", "last", "lpst"):
        refuse(header.path, "time is an axis of its space", f"space: {space}", "save one volume a file")
    notes = [] if space in TO_LPS else [NO_SPACE]
    _require_mm(header, axes, spatial)
    flips = np.array(TO_LPS.get(space, (1.0, 1.0, 1.0)))[:count]
    vectors = VECTOR.findall(fields.get("space directions", ""))
    if vectors:
        steps = np.array([_vector(vectors[axis], count) for axis in spatial]).T
        spacing = np.linalg.norm(steps, axis=0)
        directions = steps / np.where(spacing > 0, spacing, 1)
    else:
        words = header.words("spacings", axes)
        notes += [] if words else [NO_SPACING]
        spacing, directions = np.array([float((words or ["1"] * axes)[axis]) for axis in spatial]), np.eye(count)
    lowest = _lowest(header, axes, spatial)
    if lowest is not None:
        origin, note = _first_centre(header, lowest, spacing, axes, spatial)
        notes += note
    else:
        origin = _vector(fields["space origin"], count) if "space origin" in fields else np.zeros(count)
    return flips[:, None] * directions, spacing.tolist(), (flips * origin).tolist(), notes


def _require_mm(header: _Header, axes: int, spatial: Sequence[int]) -> None:
    """UnreadableScan where the axes of space are measured in anything else; without a word it is mm."""
    per_axis = UNIT.findall(header.fields.get("units", ""))
    own = [per_axis[axis] for axis in spatial] if len(per_axis) == axes else per_axis
    for unit in (*UNIT.findall(header.fields.get("space units", "")), *own):
        if unit.strip().lower() not in MILLIMETRES:
            refuse(header.path, f"the spacing is in {unit}", "segtrain measures in mm", "save the file again in mm")


def _vector(text: str, count: int) -> NDArray[np.float64]:
    numbers = np.array([float(word) for word in text.strip("() ").split(",")])
    if len(numbers) != count:
        raise ValueError(f"{text} is no vector of {count} numbers")
    return numbers


def _lowest(header: _Header, axes: int, spatial: Sequence[int]) -> NDArray[np.float64] | None:
    """The `axis mins` of the axes of space; None where there are none.

    Raises UnreadableScan where they are not the only word on it: with `axis maxs` and no spacings, ITK takes 1 mm.
    """
    limits = {}
    for name in ("axis mins", "axis maxs"):
        words = header.words(name, axes) or header.words(name.replace(" ", ""), axes) or ["nan"] * axes
        limits[name] = np.array([float(words[axis]) for axis in spatial])
    there = [name for name, numbers in limits.items() if not np.isnan(numbers).all()]
    twice = [name for name in ("space directions", "space origin") if name in header.fields]
    if there and (there != ["axis mins"] or "spacings" not in header.fields or twice):
        why = f"it has {' and '.join([*there, *twice])}, which do not say alone or say twice where voxels lie"
        hint = "save it with space, space directions and space origin, and neither axis mins nor axis maxs"
        refuse(header.path, "where the voxels lie can be read in several ways", why, hint)
    return limits["axis mins"] if there else None


def _first_centre(
    header: _Header, lowest: NDArray[np.float64], spacing: NDArray[np.float64], axes: int, spatial: Sequence[int]
) -> tuple[NDArray[np.float64], list[str]]:
    """Where the first voxel has its centre, if `axis mins` are its edge (a cell) or its centre (a node); notes."""
    words = header.words("centers", axes) or header.words("centerings", axes)
    nodes = np.array([bool(words) and words[axis].lower() == "node" for axis in spatial])
    return lowest + np.where(nodes, 0.0, spacing / 2), [] if words else [CELLS]


def _parts(header: _Header) -> tuple[Path, ...]:
    place = header.fields.get("data file")
    if place is None:
        return (header.path,)
    if is_list(place):
        return tuple(companion(header.path, name) for name in header.listed)
    if "%" in place:
        refuse(header.path, "the voxels are in numbered files", place, "convert it to one .nrrd file")
    return (companion(header.path, place),)


def _skip(header: _Header) -> int:
    """Bytes ahead of the voxels. In a compressed file they would be counted unpacked, which nobody writes."""
    fields = header.fields
    lines = int(fields.get("line skip", fields.get("lineskip", "0")))
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    attached = "data file" not in fields
    if lines or skip < -1 or (skip and fields["encoding"].lower() != "raw"):
        refuse(header.path, "lines or bytes ahead of the voxels are not read", header.damaged("line skip"))
    return -1 if skip == -1 else skip + (header.end if attached else 0)
