"""How much surface passes through each corner of the voxel grid.

A corner of the grid has eight voxels around it. Which of them belong to a mask is its *code*, eight bits; marching
cubes (Lorensen and Cline 1987) draws triangles between them, and their area is that of the surface element there. The
areas are those of DeepMind's surface-distance (Nikolov et al., J Med Internet Res 23:e26151, 2021), whose table has 256
rows. It is the same under all turns and flips of the cube and under the swap of inside and outside, so that the
thirteen rows below say all of it. In a plane the code has four bits, and the elements are pieces of a contour.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, ...]
Normal = tuple[int, ...]

SURFELS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # voxels inside -> normals of the triangles, whose lengths are areas, in eighths of a unit cube's face
    (("000",), ("111",)),
    (("000", "001"), ("220", "220")),
    (("001", "010"), ("111", "111")),
    (("011", "100"), ("111", "111")),
    (("000", "001", "010"), ("111", "222", "400")),
    (("001", "010", "100"), ("111", "111", "111")),
    (("000", "011", "100"), ("022", "022", "111")),
    (("000", "001", "010", "011"), ("400", "400")),
    (("000", "001", "010", "100"), ("111", "111", "222", "222")),
    (("000", "001", "011", "100"), ("022", "111", "202", "333")),
    (("001", "010", "011", "100"), ("111", "111", "222", "400")),
    (("010", "011", "100", "101"), ("220", "220", "220", "220")),
    (("000", "011", "101", "110"), ("111", "111", "111", "111")),
)
CONTOURS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # the same in a plane: normals of the pieces, in halves of a unit square's side
    (("00",), ("11",)),
    (("00", "01"), ("20",)),
    (("00", "11"), ("11", "11")),
)
UNITS = {2: 2, 3: 8}


@lru_cache(maxsize=8)
def surfel_sizes(spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Area in mm2 (length in mm in a plane) of the surface element at a corner, by its code: 256 (16) numbers."""
    faces = np.array([np.prod([s for j, s in enumerate(spacing_mm) if j != i]) for i in range(len(spacing_mm))])
    sizes = [np.linalg.norm(np.array(normals) * faces, axis=1).sum() for normals in _normals(len(spacing_mm))]
    return np.array(sizes) / UNITS[len(spacing_mm)]


@cache
def _normals(axes: int) -> tuple[tuple[Normal, ...], ...]:
    """Normals by code; their signs do not matter."""
    nothing = ((0,) * axes,)
    table: list[tuple[Normal, ...]] = [nothing] * 2 ** (2**axes)
    for inside, normals in SURFELS if axes == 3 else CONTOURS:
        corners = [tuple(map(int, corner)) for corner in inside]
        for order, turned in _turns(corners, axes):
            code = sum(1 << _place(corner) for corner in turned)
            found = tuple(tuple(int(normal[axis]) for axis in order) for normal in normals)
            table[code] = table[len(table) - 1 - code] = found
    return tuple(table)


def _turns(corners: Sequence[Corner], axes: int) -> Iterator[tuple[tuple[int, ...], list[Corner]]]:
    """The corners under each order of the axes, which is given too, and each flip."""
    for order in itertools.permutations(range(axes)):
        for flips in itertools.product((0, 1), repeat=axes):
            yield order, [tuple(c[axis] ^ flip for axis, flip in zip(order, flips, strict=True)) for c in corners]


def _place(corner: Corner) -> int:
    """The bit of a corner: the first axis weighs most."""
    return int("".join(map(str, corner)), 2)
