"""What augmentation has to know of a plan: how large a patch is, and along which of its axes things may move."""

from __future__ import annotations

from dataclasses import dataclass

from segtrain.core.plan import Plan

THICK = 3.0
"""Slices are thick from here on (nnU-Net's ANISO_THRESHOLD, which it holds against the patch alone)."""


@dataclass(frozen=True)
class PatchFrame:
    """The axes of a patch: three, or the two of a slice where the plan is 2D."""

    size: tuple[int, ...]
    """Voxels."""
    sides_mm: tuple[float, ...]
    """Of a voxel; 1 along an axis that every scan has a spacing of its own on."""
    canonical: tuple[int, ...]
    """Which of R, A, S each axis is."""
    channels: int
    thick: int | None
    """The axis across thick slices: nothing moves along it, for between two slices there is nothing to be seen."""

    @property
    def moving(self) -> tuple[int, ...]:
        """Axes along which patches turn, scale and bend: two or three."""
        return tuple(axis for axis in range(len(self.size)) if axis != self.thick)


def frame_of(plan: Plan) -> PatchFrame:
    """The frame of a plan's patches."""
    canonical = tuple(axis for axis in range(3) if axis != plan.slice_axis)
    size = tuple(plan.patch_size[axis] for axis in canonical)
    sides_mm = tuple(plan.spacing_mm[axis] or 1.0 for axis in canonical)
    return PatchFrame(size, sides_mm, canonical, len(plan.channels), _thick_axis(size, sides_mm))


def _thick_axis(size: tuple[int, ...], sides_mm: tuple[float, ...]) -> int | None:
    if len(size) < 3:
        return None
    coarsest = max(range(3), key=lambda axis: (sides_mm[axis], -size[axis]))
    thick = sides_mm[coarsest] > THICK * min(sides_mm) or max(size) > THICK * size[coarsest]
    return coarsest if thick else None
