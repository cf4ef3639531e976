"""Spacing, patch, strides and kernels are nnU-Net's.

The expected strides and kernels are what `get_pool_and_conv_props` of nnunetv2 2.8.1 returns for the same sizes; the
data sets are those of Isensee et al. 2021.
"""

from __future__ import annotations

import numpy as np
import pytest

from segtrain.data.plan.topology import largest_patch, target_spacing, topology

CUBE = (3, 3, 3)
NNUNET = {
    "isotropic": ((1, 1, 1), (128, 128, 128), [(2, 2, 2)] * 5, [CUBE] * 6),
    "hippocampus": ((1, 1, 1), (40, 56, 40), [(2, 2, 2)] * 3, [CUBE] * 4),
    "heart, slices of 10 mm": (
        (10, 1.5625, 1.5625),
        (20, 256, 224),
        [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)],
        [(1, 3, 3)] * 2 + [CUBE] * 4,
    ),
    "prostate, slices of 3.6 mm": (
        (3.6, 0.625, 0.625),
        (20, 320, 256),
        [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)],
        [(1, 3, 3)] * 2 + [CUBE] * 5,
    ),
    "four slices": ((0.7, 0.7, 6.5), (128, 128, 4), [(2, 2, 1)] * 5, [(3, 3, 1)] * 3 + [CUBE] * 3),
    "a bottleneck looks across slices": (
        (6.664, 0.64, 0.97),
        (50, 19, 132),
        [(1, 2, 2), (1, 2, 2), (2, 1, 2), (2, 1, 2), (2, 1, 2)],
        [(1, 3, 3)] * 5 + [CUBE],
    ),
    "eleven voxels are not halved alone": ((1, 1, 1), (11, 7, 7), [], [CUBE]),
    "twelve are": ((1, 1, 1), (12, 7, 7), [(2, 1, 1)], [CUBE] * 2),
}


def made(spacing, patch, stages=99, slice_axis=None, *, fixed=False):
    return topology(np.array(patch, float), np.array(spacing, float), stages, slice_axis, fixed=fixed)


@pytest.mark.parametrize(("spacing", "patch", "strides", "kernels"), NNUNET.values(), ids=NNUNET)
def test_strides_and_kernels_are_nnunets(spacing, patch, strides, kernels):
    assert made(spacing, patch) == (strides, kernels)


def test_no_axis_falls_below_four_voxels():
    strides, kernels = made((1, 1, 1), (32, 32, 8), stages=6)
    assert np.prod(strides, axis=0).tolist() == [8, 8, 2]
    assert len(kernels) == len(strides) + 1


def test_a_network_that_is_cut_short_ends_with_the_kernel_of_its_stage():
    spacing, patch, strides, kernels = NNUNET["heart, slices of 10 mm"]
    assert made(spacing, patch, stages=2) == (strides[:1], kernels[:2])
    assert made(spacing, patch, stages=4) == (strides[:3], kernels[:4])


def test_slices_are_neither_halved_nor_convolved_across_the_axis_that_cuts_them():
    strides, kernels = made((0.7, 0.7, 6.5), (64, 48, 1), slice_axis=2)
    assert {stride[2] for stride in strides} == {kernel[2] for kernel in kernels} == {1}
    assert strides == [(2, 2, 1)] * 3
    assert kernels == [(3, 3, 1)] * 4


def test_a_depth_that_is_asked_for_goes_down_to_two_voxels():
    strides, kernels = made((1, 1, 1), (16, 8, 8), stages=4, fixed=True)
    assert (strides, len(kernels)) == ([(2, 2, 2)] * 3, 4)
    assert len(made((1, 1, 1), (16, 8, 8), stages=9, fixed=True)[1]) == 5


ISOTROPIC = np.array([[100.0, 100, 100]])


def test_spacing_is_the_median():
    assert target_spacing(np.array([[1, 1, 1], [2, 1, 1], [3, 1, 2.0]]), ISOTROPIC) == (2, 1, 1)


@pytest.mark.parametrize(
    ("shape", "slice_mm"),
    [((200, 200, 20), 2.8), ((200, 200, 150), 6.0)],
    ids=["few thick slices", "many of them: the field of view is long"],
)
def test_few_thick_slices_take_a_spacing_that_some_scans_have(shape, slice_mm):
    spacings = np.array([[1, 1, z] for z in np.linspace(2, 10, 11)])
    assert target_spacing(spacings, np.array([shape], float))[2] == pytest.approx(slice_mm)


def test_slices_never_become_finer_than_their_pixels():
    spacings = np.array([[1, 1, z] for z in (0.5, 0.5, 8, 9, 10)])
    assert target_spacing(spacings, np.array([[200.0, 200, 20]]))[2] == pytest.approx(1)


def test_a_large_patch_shrinks_in_proportion():
    assert largest_patch(np.array([400.0, 200.0, 200.0]), 96_000, None) == (73, 36, 36)


def test_a_small_scan_is_one_patch():
    assert largest_patch(np.array([36.0, 50.0, 35.0]), 96_000, None) == (36, 50, 35)


def test_an_axis_that_is_short_already_does_not_shrink():
    assert largest_patch(np.array([400.0, 400.0, 8.0]), 20_000, None)[2] == 8


def test_a_patch_of_a_slice_is_one_voxel_thick():
    assert largest_patch(np.array([400.0, 200.0, 30.0]), 160 * 160, 2) == (226, 113, 1)
