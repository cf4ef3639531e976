"""Work that is the same along each axis, as one small matrix an axis: blur, larger voxels, smooth bends.

All of them are linear and separable, so that one after another is the product of their matrices: a channel that is
blurred and then taken with larger voxels costs one pass. Such a pass is three matrix products, which on a patch of
40x56x40 voxels take a fifth of the time of three convolutions, and half of that of a resampling down and up.

Larger voxels are not part of the resampling that moves a patch: nearest down and linear up is a weighted sum over eight
of its places for every voxel, other ones in every channel, and it comes after the noise. Moving the places themselves
to a coarser lattice would be nearest both ways, which looks like blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Matrix = NDArray[np.float64]
"""(values out, values in) along one axis."""
SPLINE = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6
"""Weights of the four nearest control points, as polynomials of the place between two of them: row i goes with the i-th
power (uniform cubic B-spline)."""


def along_axes(values: Tensor, matrices: Sequence[Matrix]) -> Tensor:
    """(*rest, k1 ... kd) and matrices (n1, k1) ... (nd, kd) -> (n1 ... nd, *rest)."""
    for matrix in reversed(matrices):
        on_device = torch.from_numpy(matrix).to(values.device, values.dtype)
        # The last axis becomes the first, so that after the last matrix all of them have come round.
        values = torch.tensordot(on_device, values, dims=([1], [values.ndim - 1]))
    return values


def blur_matrix(size: int, sigma_voxels: float) -> Matrix:
    """(size, size): a Gaussian cut off at 4 sigma, of values mirrored at the ends."""
    blurred: Matrix = ndimage.gaussian_filter1d(np.eye(size), sigma_voxels, axis=0, mode="mirror", truncate=4.0)
    return blurred


def low_resolution_matrix(size: int, zoom: float) -> Matrix:
    """(size, size): the nearest of `size` values for each of `zoom * size` larger voxels, and linear between those.

    As torch's interpolate does it with nearest-exact and linear, both over the same field of view.
    """
    voxels = max(1, round(size * zoom))
    nearest = np.floor((np.arange(voxels) + 0.5) * size / voxels).astype(int)
    place = np.clip((np.arange(size) + 0.5) * voxels / size - 0.5, 0, voxels - 1)
    left = np.floor(place).astype(int)
    matrix = np.zeros((size, size))
    rows = np.arange(size)
    np.add.at(matrix, (rows, nearest[left]), 1 - (place - left))
    np.add.at(matrix, (rows, nearest[np.minimum(left + 1, voxels - 1)]), place - left)
    return matrix


def control_points(size: int, points_voxels: float) -> int:
    """Control points that the bend of `size` voxels depends on; the first voxel lies at the second of them."""
    return int((size - 1) / points_voxels) + 4


def spline_matrix(size: int, points_voxels: float) -> Matrix:
    """(size, control points): what each point adds to a voxel. Rows add up to 1: no voxel goes further than a point."""
    place = np.arange(size) / points_voxels
    first = np.floor(place).astype(int)
    weights = (place - first)[:, None] ** np.arange(4) @ SPLINE
    matrix = np.zeros((size, control_points(size, points_voxels)))
    matrix[np.arange(size)[:, None], first[:, None] + np.arange(4)] = weights
    return matrix
