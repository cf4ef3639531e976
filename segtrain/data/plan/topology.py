"""Spacing, patch, strides and kernels from the data alone: nnU-Net's rules (Isensee et al. 2021, supplementary note 2).

Median spacing; a patch of the median scan's proportions; an axis is halved while that leaves at least four voxels and
it is not coarser than twice the finest; kernels do not look across thick slices before the other axes are as coarse.
All triples are canonical axes (R, A, S).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtrain.core.plan import Size3

MINIMUM_BOTTLENECK = 4
"""Voxels an axis keeps at the deepest stage."""
ANISOTROPY = 2.0
"""An axis this much coarser than the finest is neither pooled nor convolved across (nnU-Net)."""
LONE_AXIS = 1.5
"""How much longer than others an axis must be that is halved alone (nnU-Net: 12 voxels, not 8)."""
STRONG_ANISOTROPY = 3.0
"""From here on, the coarse axis takes the 10th percentile of spacings instead of the median (nnU-Net)."""
Triple = NDArray[np.float64]


def target_spacing(spacings_mm: Triple, shapes: Triple) -> tuple[float, float, float]:
    """Median per axis; where scans (cases, 3) are few thick slices, a finer spacing that some of them have."""
    median = np.median(spacings_mm, axis=0)
    voxels = np.median(shapes, axis=0)
    coarse = int(median.argmax())
    others = [a for a in range(3) if a != coarse]
    is_thick = median[coarse] > STRONG_ANISOTROPY * median[others].max()
    if is_thick and voxels[coarse] * STRONG_ANISOTROPY < voxels[others].min():
        median[coarse] = max(np.percentile(spacings_mm[:, coarse], 10), median[others].max())
    x, y, z = (float(s) for s in median)
    return x, y, z


def largest_patch(median_size: Triple, limit: float, slice_axis: int | None) -> Size3:
    """The median scan, scaled down in proportion until it holds at most `limit` voxels."""
    size = np.array([1.0 if a == slice_axis else n for a, n in enumerate(median_size)])
    used = np.array([a != slice_axis for a in range(3)])
    while size.prod() > limit:
        excess = (size.prod() / limit) ** (1 / used.sum())
        # An axis that is already short keeps what a bottleneck needs; the others give way.
        shrunk = np.where(used, np.maximum(size / excess, np.minimum(size, 2 * MINIMUM_BOTTLENECK)), size)
        if np.allclose(shrunk, size):
            break
        size = shrunk
    return as_size(np.maximum(1, np.round(size)))


def topology(
    patch: Triple, spacing: Triple, stages: int, slice_axis: int | None, *, fixed: bool
) -> tuple[list[Size3], list[Size3]]:
    """Strides between stages and kernels of each, finest first, by nnU-Net's rules.

    With `fixed`, exactly `stages` stages are made as long as any axis has two voxels left to halve.
    """
    size, step = patch.copy(), spacing.copy()
    used = np.array([a != slice_axis for a in range(3)])
    strides: list[Size3] = []
    kernels: list[Size3] = []
    wide = np.zeros(3, dtype=bool)
    for stage in range(stages):
        # An axis that was convolved across stays so, however far pooling then stretches the others.
        wide |= used & (step < ANISOTROPY * step[used].min())
        kernels.append(as_size(np.where(wide, 3, 1)))
        if stage == stages - 1:
            break
        halve = halved_axes(size, step, used, 2 if fixed else 2 * MINIMUM_BOTTLENECK)
        if not halve.any():
            # Nothing is left to halve: the bottleneck looks across all axes, thick slices among them.
            kernels[-1] = kernels[-1] if fixed else as_size(np.where(used, 3, 1))
            break
        factor = np.where(halve, 2, 1)
        strides.append(as_size(factor))
        size, step = np.ceil(size / factor), step * factor
    return strides, kernels


def halved_axes(size: Triple, step: Triple, used: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Which axes the next stage halves: those of at least `smallest` voxels that are not much coarser than the finest.

    One axis alone needs half as many voxels again, unless it may go down to two.
    """
    divisible = used & (size >= smallest)
    if not divisible.any():
        return divisible
    halve: NDArray[np.bool_] = divisible & (step < ANISOTROPY * step[divisible].min())
    if halve.sum() == 1 and smallest > 2 and float(size[halve][0]) < LONE_AXIS * smallest:
        return np.zeros(3, dtype=bool)
    return halve


def as_size(values: NDArray[np.float64] | NDArray[np.int64]) -> Size3:
    """As plain integers."""
    x, y, z = (int(v) for v in values)
    return x, y, z
