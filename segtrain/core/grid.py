"""Where voxels lie in the patient.

A `Grid` is a shape and an affine that maps voxel indices to millimetres in RAS+ (x to the right, y to the
front, z to the head), at voxel *centres*. Every array travels with its grid, so going back to the scanner's
space is `resample(..., onto=native)` and never the undoing of a list of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

SAME_GRID_TOLERANCE_VOXELS = 0.01
"""Corners closer than this share of a voxel are the same corner: NIfTI stores affines as float32."""
SAME_DIRECTION = 1e-3
"""How far the steps along an axis of two parallel grids may differ, as a share of a voxel."""

Affine = NDArray[np.float64]
Triple = tuple[float, float, float]
Shape3 = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape (X, Y, Z) and affine (4, 4), float64, index -> mm in RAS+."""

    shape: Shape3
    affine: Affine

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"an affine is a finite 4x4 matrix, not {affine.shape}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise ValueError("the affine is singular: two axes point the same way, or a spacing is 0")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a grid has three axes of at least one voxel, not {self.shape}")

    @property
    def spacing_mm(self) -> Triple:
        """Distance between neighbouring voxel centres along each axis."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    def canonical(self) -> Grid:
        """The same voxels with axes reordered and flipped to lie as close to R, A, S as they can."""
        order, flips = self.orientation()
        step = np.zeros((4, 4))
        step[3, 3] = 1
        for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
            step[old, new] = -1 if flip else 1
            step[old, 3] = self.shape[old] - 1 if flip else 0
        shape = (self.shape[order[0]], self.shape[order[1]], self.shape[order[2]])
        return Grid(shape, self.affine @ step)

    def orientation(self) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """For each of R, A, S: the array axis that lies closest to it, and whether it runs backwards."""
        directions = self.affine[:3, :3] / np.asarray(self.spacing_mm)
        _, axes = linear_sum_assignment(-np.abs(directions))
        order = tuple(int(a) for a in axes)
        return order, tuple(bool(directions[w, a] < 0) for w, a in enumerate(order))

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of an array (X, Y, Z) on this grid, as it lies on `canonical()`."""
        order, flips = self.orientation()
        return array.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]

    def respaced(self, spacing_mm: Sequence[float]) -> Grid:
        """A grid over the same field of view (edges, not centres) with another spacing."""
        old = np.asarray(self.spacing_mm)
        wanted = np.asarray(spacing_mm, dtype=np.float64)
        shape = np.maximum(1, np.round(np.asarray(self.shape) * old / wanted)).astype(int)
        scale = np.asarray(self.shape) / shape
        step = np.diag([*scale, 1.0])
        step[:3, 3] = (scale - 1) / 2
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), self.affine @ step)

    def positions_mm(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Indices (N, 3) -> positions (N, 3) in mm."""
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def corners(self) -> NDArray[np.float64]:
        """Positions (8, 3) of the eight corner voxels, in mm."""
        last = np.asarray(self.shape) - 1
        index = np.stack(np.meshgrid(*[(0, n) for n in last], indexing="ij"), axis=-1)
        return self.positions_mm(index.reshape(-1, 3).astype(np.float64))

    def distance_voxels(self, other: Grid) -> float:
        """Largest distance between equal corners of two grids of one shape, in voxels of this grid."""
        if self.shape != other.shape:
            return float("inf")
        gap = np.linalg.norm(self.corners() - other.corners(), axis=1).max()
        return float(gap / min(self.spacing_mm))

    def same_space(self, other: Grid, tolerance_voxels: float = SAME_GRID_TOLERANCE_VOXELS) -> bool:
        """Whether two grids put each voxel at the same place."""
        return self.distance_voxels(other) <= tolerance_voxels

    def mirrored_axes(self, other: Grid) -> str | None:
        """The array axes along which another grid runs the other way, as `x, z`; "" where all run alike.

        None where the two differ by more than that and where they begin: in shape, spacing or direction.
        """
        if self.shape != other.shape:
            return None
        own, theirs = self.affine[:3, :3], other.affine[:3, :3]
        signs = np.sign(np.sum(own * theirs, axis=0))
        if not np.allclose(own * signs, theirs, atol=SAME_DIRECTION * min(self.spacing_mm)):
            return None
        return ", ".join(axis for axis, sign in zip("xyz", signs, strict=True) if sign < 0)

    def describe(self) -> str:
        """Shape and spacing as a person writes them."""
        shape = "x".join(map(str, self.shape))
        return f"{shape} voxels of {'x'.join(f'{s:.4g}' for s in self.spacing_mm)} mm"

    def to_json(self) -> dict[str, object]:
        """Plain numbers for a JSON file."""
        return {"shape": list(self.shape), "affine": self.affine.tolist()}

    @classmethod
    def from_json(cls, value: dict[str, object]) -> Grid:
        """The inverse of `to_json`."""
        return cls(tuple(value["shape"]), np.asarray(value["affine"]))  # type: ignore[arg-type]
