"""Where the windows of a scan lie, and what their voxels weigh (nnU-Net: Gaussian, sigma an eighth of the window)."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Place = tuple[int, int, int]
"""First voxel of a window, along each axis."""

SIGMA_SHARE = 1 / 8
"""Width of the Gaussian, in window sizes."""

LEAST_WEIGHT = 1e-4
"""Of a corner: more than nothing in half precision too."""


def window_starts(space: tuple[int, ...], window: tuple[int, ...], overlap: float, *, along: int = 0) -> list[Place]:
    """First voxels of the windows: evenly spread, the last one ends at the edge; those that come first on axis `along`
    come first."""
    axes = []
    for length, size in zip(space, window, strict=True):
        step = max(1, round(size * (1 - overlap)))
        count = 1 + max(0, -(-(length - size) // step))
        axes.append([round(i * (length - size) / max(1, count - 1)) for i in range(count)])
    x, y, z = axes
    return sorted(product(x, y, z), key=lambda start: start[along])


def gaussian_window(size: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights of a window's voxels, 1 at the centre and never 0."""
    weight = np.ones(size, dtype=np.float64)
    for axis, n in enumerate(size):
        place = (np.arange(n) - (n - 1) / 2) / max(n * SIGMA_SHARE, 1e-6)
        shape = [1, 1, 1]
        shape[axis] = n
        weight = weight * np.exp(-0.5 * place**2).reshape(shape)
    return np.asarray(np.maximum(weight, LEAST_WEIGHT), dtype=np.float32)


def padded(image: NDArray[np.float32], window: tuple[int, ...]) -> tuple[NDArray[np.float32], Place]:
    """A scan (channels, X, Y, Z) at least as large as the window, and what was added before its first voxel.

    Added is 0, the mean intensity, on both sides, as patches are in training.
    """
    missing = [max(0, size - length) for size, length in zip(window, image.shape[1:], strict=True)]
    before = (missing[0] // 2, missing[1] // 2, missing[2] // 2)
    if not any(missing):
        return image, before
    return np.pad(image, [(0, 0), *((b, m - b) for b, m in zip(before, missing, strict=True))]), before
