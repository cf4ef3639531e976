"""The resampler: exact where voxels coincide, close to SciPy elsewhere, and back again without a shift."""

import numpy as np
import pytest
from scipy import ndimage

from segtrain.core.grid import Grid
from segtrain.core.resample import axis_maps, resample_array, resample_labels, resample_volume
from segtrain.core.volume import LabelMap, Volume
from tests.phantoms import ellipsoid, grid

GRIDS = [grid(), grid(degrees=20), grid(flips=(-1, 1, -1)), grid(degrees=200, spacing_mm=(0.8, 0.8, 3.0))]


@pytest.mark.parametrize("native", GRIDS)
def test_canonical_and_back_is_an_exact_copy(native):
    array = np.random.default_rng(0).normal(size=native.shape).astype(np.float32)
    there = resample_array(array, native, native.canonical())
    back = resample_array(there, native.canonical(), native)
    assert np.array_equal(back, array)


@pytest.mark.parametrize("native", GRIDS)
def test_respaced_labels_come_back_where_they_were(native):
    big = native.respaced(np.array(native.spacing_mm) / 2)
    mask = LabelMap(ellipsoid(big).astype(np.uint8) * 3, big)
    work = big.canonical().respaced((0.4, 0.5, 0.6))
    back = resample_labels(resample_labels(mask, work), big).array
    overlap = 2 * ((back > 0) & (mask.array > 0)).sum() / ((back > 0).sum() + (mask.array > 0).sum())
    centre, centre_back = (big.positions_mm(np.argwhere(m > 0).astype(float)).mean(0) for m in (mask.array, back))
    assert overlap > 0.97
    assert np.abs(centre - centre_back).max() < 0.1
    assert set(np.unique(back)) == {0, 3}


def test_refining_equals_scipy_linear_interpolation():
    native = grid()
    array = np.random.default_rng(1).normal(size=native.shape).astype(np.float32)
    fine = native.respaced((0.7, 0.7, 1.1))
    index = np.linalg.inv(native.affine) @ fine.affine
    expected = ndimage.affine_transform(array, index[:3, :3], index[:3, 3], fine.shape, order=1, mode="nearest")
    assert np.abs(resample_array(array, native, fine) - expected).max() < 1e-4


def test_coarsening_keeps_the_mean_of_a_fine_pattern():
    native = Grid((32, 4, 4), np.eye(4))
    stripes = np.zeros(native.shape, dtype=np.float32)
    stripes[::2] = 1
    coarse = resample_array(stripes, native, native.respaced((4, 1, 1)))
    assert np.abs(coarse[1:-1] - 0.5).max() < 0.05


def test_what_lies_outside_is_filled():
    native = Grid((4, 4, 4), np.eye(4))
    before = np.eye(4)
    before[0, 3] = -2
    wide = Grid((8, 4, 4), before)
    filled = resample_array(np.ones(native.shape, np.float32), native, wide, outside=7.0)
    assert filled[:, 0, 0].tolist() == [7, 7, 1, 1, 1, 1, 7, 7]
    assert resample_array(np.ones(native.shape, np.float32), native, wide).min() == 1


@pytest.mark.parametrize("degrees", [1, 8, 45])
def test_grids_that_lean_against_each_other_are_refused(degrees):
    native, turned = grid((30, 30, 30), (1, 1, 1)), grid((30, 30, 30), (1, 1, 1), degrees=degrees)
    with pytest.raises(ValueError, match="not parallel"):
        resample_array(np.zeros(native.shape, np.float32), native, turned)


def test_a_sheared_scan_is_resampled_and_back():
    shear = np.eye(4)
    shear[0, 1], shear[1, 2] = 0.4, -0.3
    native = Grid((12, 10, 8), shear @ grid(degrees=15).affine)
    array = np.random.default_rng(0).normal(size=native.shape).astype(np.float32)
    work = native.canonical()
    assert np.array_equal(resample_array(resample_array(array, native, work), work, native), array)
    assert resample_array(array, native, work.respaced((2.0, 1.0, 1.5))).shape == work.respaced((2.0, 1.0, 1.5)).shape


def test_every_channel_is_resampled():
    native = grid()
    array = np.stack([np.full(native.shape, v, np.int16) for v in (3, 5)])
    moved = resample_volume(Volume(array, native), native.respaced((2, 2, 2)))
    assert moved.array.dtype == np.float32
    assert [c.mean() for c in moved.array] == pytest.approx([3, 5])


def test_the_map_of_an_axis_says_what_each_voxel_is_made_of():
    native = Grid((4, 3, 2), np.diag([2.0, 1.0, 1.0, 1.0]))
    fine, copied, _ = axis_maps(native, native.respaced((1, 1, 1)))
    assert copied.weight is None
    assert copied.index.ravel().tolist() == [0, 1, 2]
    assert fine.index[[0, 1, 7]].tolist() == [[0, 0], [0, 1], [3, 3]]
    assert fine.weight[[0, 1, 7]].tolist() == [[0, 1], [0.75, 0.25], [0, 1]]
    assert fine.weight.sum(1).tolist() == [1] * 8


def test_a_part_of_a_map_needs_no_more_than_its_own_voxels():
    native = Grid((20, 3, 2), np.diag([2.0, 1.0, 1.0, 1.0]))
    axis_map = axis_maps(native, native.respaced((1, 1, 1)))[0]
    assert axis_map.span == (0, 20)
    assert axis_map.part(10, 12).span == (4, 7)


def test_a_map_follows_the_axes_of_the_source():
    native = grid((5, 6, 7), degrees=90)
    maps = axis_maps(native.canonical(), native)
    assert [axis_map.axis for axis_map in maps] == [1, 0, 2]
    assert all(axis_map.weight is None for axis_map in maps)
