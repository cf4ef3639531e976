"""Matrices along the axes do what scipy and torch do to whole arrays."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import BSpline

from segtrain.data.augment.separable import (
    along_axes,
    blur_matrix,
    control_points,
    low_resolution_matrix,
    spline_matrix,
)

SIZE = (12, 9, 7)
VALUES = torch.from_numpy(np.random.default_rng(0).normal(size=SIZE))


def test_each_axis_has_its_matrix_and_others_follow():
    rng = np.random.default_rng(1)
    matrices = [rng.normal(size=(m, n)) for m, n in ((3, 12), (4, 9), (5, 7))]
    found = along_axes(torch.stack([VALUES, 2 * VALUES]), matrices)
    expected = np.einsum("xa,yb,zc,abc->xyz", *matrices, VALUES.numpy())
    assert found.shape == (3, 4, 5, 2)
    assert np.allclose(found[..., 0].numpy(), expected)
    assert np.allclose(found[..., 1].numpy(), 2 * expected)


def test_blur_is_scipys():
    sigmas = (0.5, 0.8, 1.0)
    found = along_axes(VALUES, [blur_matrix(n, sigma) for n, sigma in zip(SIZE, sigmas, strict=True)])
    assert np.allclose(found.numpy(), ndimage.gaussian_filter(VALUES.numpy(), sigmas, mode="mirror"))


@pytest.mark.parametrize("size", [1, 2])
def test_short_axes_are_blurred_too(size):
    assert np.allclose(blur_matrix(size, 1.0).sum(axis=1), 1)


@pytest.mark.parametrize("zoom", [0.5, 0.61, 0.77, 1.0, 0.01])
def test_low_resolution_is_torchs_nearest_down_and_linear_up(zoom):
    coarse = [max(1, round(n * zoom)) for n in SIZE]
    down = torch.nn.functional.interpolate(VALUES[None, None], coarse, mode="nearest-exact")
    up = torch.nn.functional.interpolate(down, SIZE, mode="trilinear")[0, 0]
    found = along_axes(VALUES, [low_resolution_matrix(n, zoom) for n in SIZE])
    assert torch.allclose(found, up)


def test_all_voxels_are_the_scan_itself():
    assert np.array_equal(low_resolution_matrix(9, 1.0), np.eye(9))


@pytest.mark.parametrize(("size", "points_voxels"), [(9, 4.0), (8, 4.0), (40, 12.0), (5, 20.0), (1, 3.0), (10, 2.5)])
def test_a_bend_is_a_cubic_b_spline(size, points_voxels):
    matrix = spline_matrix(size, points_voxels)
    points = control_points(size, points_voxels)
    assert matrix.shape == (size, points)
    knots = np.arange(-3, points + 1) * points_voxels
    for column in range(points):
        alone = BSpline(knots, np.eye(points)[column], 3)(np.arange(size))
        assert np.allclose(matrix[:, column], alone)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert (matrix.sum(axis=0) > 0).sum() >= points - 1
