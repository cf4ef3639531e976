import numpy as np
import pytest
from scipy import ndimage

from segtrain.core.distance import (
    bounding_box,
    distance_mm,
    signed_distance_mm,
    squared_distance_mm2,
    two_nearest_mm,
)

GRIDS = [
    ((9, 11, 13), (3.0, 1.0, 0.5)),
    ((12, 12, 12), (1.0, 1.0, 1.0)),
    ((20, 30), (1.5, 0.7)),
    ((1, 7, 5), (2.0, 1.0, 1.0)),
    ((6, 1), (1.0, 3.0)),
]
every_grid = pytest.mark.parametrize(("shape", "spacing_mm"), GRIDS)


def random_mask(shape, share=0.4, seed=0):
    return np.random.default_rng(seed).random(shape) < share


def scipy_mm(mask, spacing_mm):
    return ndimage.distance_transform_edt(mask, sampling=spacing_mm)


def blob(shape=(24, 20, 16), centre=(12, 9, 8), radius=5):
    squares = sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), centre, strict=True))
    return squares < radius**2


@every_grid
@pytest.mark.parametrize("share", [0.05, 0.4, 0.95])
def test_distances_are_those_of_scipy(shape, spacing_mm, share):
    for seed in range(3):
        mask = random_mask(shape, share, seed)
        mask.flat[0], mask.flat[-1] = True, False
        found = distance_mm(mask, spacing_mm)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, scipy_mm(mask, spacing_mm), rtol=1e-6, atol=1e-6)
        between = scipy_mm(~mask, spacing_mm) - scipy_mm(mask, spacing_mm)
        np.testing.assert_allclose(signed_distance_mm(mask, spacing_mm), between, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_small_object_far_from_the_edges_is_measured_as_in_the_whole_array(threads):
    mask = blob()
    found = distance_mm(mask, (2.0, 1.0, 0.5), threads=threads)
    np.testing.assert_allclose(found, scipy_mm(mask, (2.0, 1.0, 0.5)), rtol=1e-6)
    signed = signed_distance_mm(mask, (2.0, 1.0, 0.5), threads=threads)
    assert np.array_equal(found, np.where(mask, -signed, 0))


def test_memory_order_does_not_matter():
    mask = random_mask((5, 6, 7))
    expected = signed_distance_mm(mask, (3, 1, 2))
    assert np.array_equal(signed_distance_mm(np.asfortranarray(mask), (3, 1, 2)), expected)
    assert np.array_equal(signed_distance_mm(mask.transpose(2, 0, 1), (2, 3, 1)), expected.transpose(2, 0, 1))


@every_grid
def test_the_square_is_the_square(shape, spacing_mm):
    mask = random_mask(shape)
    signed = signed_distance_mm(mask, spacing_mm)
    np.testing.assert_allclose(squared_distance_mm2(mask, spacing_mm), signed**2, rtol=1e-6)
    assert ((signed < 0) == mask).all()


def test_an_empty_mask_has_no_distances():
    empty = np.zeros((4, 5), bool)
    assert not distance_mm(empty, (1, 1)).any()
    assert not signed_distance_mm(empty, (1, 1)).any()


def test_a_mask_without_an_outside_is_infinitely_deep():
    assert np.isposinf(distance_mm(np.ones((3, 4), bool), (1, 1))).all()


def test_its_border_is_then_the_edge_of_the_array():
    found = signed_distance_mm(np.ones((3, 5), bool), (1.0, 2.0))
    assert found.tolist() == [[-1] * 5, [-2] * 5, [-1] * 5]
    assert signed_distance_mm(np.ones((1, 1, 1), bool), (1, 2, 3)).tolist() == [[[-1]]]


def test_an_axis_of_one_voxel_is_none():
    mask = random_mask((5, 4))
    for full in (mask, np.ones_like(mask)):
        flat = signed_distance_mm(full, (2, 1))
        assert np.array_equal(signed_distance_mm(full[None], (0.1, 2, 1))[0], flat)


class TestVoxelsThatAreNotKnown:
    def test_are_no_end_of_a_distance(self):
        mask = np.array([[True, True, False, False, False, True, False]])
        known = np.array([[True, True, False, True, True, False, True]])
        assert signed_distance_mm(mask, (1, 1), known=known).tolist() == [[-3, -2, 0, 2, 3, 0, 5]]

    def test_give_the_distances_between_the_others(self):
        mask, known = random_mask((7, 8, 9)), random_mask((7, 8, 9), 0.7, seed=1)
        inward, outward = (scipy_mm(~(side & known), (2, 1, 1)) for side in (~mask, mask))
        expected = np.where(known, np.where(mask, -inward, outward), 0)
        np.testing.assert_allclose(signed_distance_mm(mask, (2, 1, 1), known=known), expected, rtol=1e-6)

    def test_change_nothing_where_there_are_none(self):
        mask = random_mask((7, 8))
        found = signed_distance_mm(mask, (1, 1), known=np.ones_like(mask))
        assert np.array_equal(found, signed_distance_mm(mask, (1, 1)))

    def test_may_hide_the_whole_of_a_side(self):
        mask = np.array([[True, True, True, False]])
        assert not signed_distance_mm(mask, (1, 1), known=~mask).any()
        assert signed_distance_mm(mask, (1, 1), known=mask).tolist() == [[-1, -2, -2, 0]]


class TestTwoNearest:
    def test_objects_are_those_of_one_transform_each(self):
        labels, count = ndimage.label(random_mask((15, 14, 13), 0.06))
        assert count > 5
        each = np.sort([scipy_mm(labels != label, (2, 1, 1)) for label in range(1, count + 1)], axis=0)
        nearest, second = two_nearest_mm(labels, (2, 1, 1), reach_mm=100)
        np.testing.assert_allclose(nearest, each[0], rtol=1e-6)
        np.testing.assert_allclose(second, each[1], rtol=1e-6)
        close, next_close = two_nearest_mm(labels, (2, 1, 1), reach_mm=3)
        for found, whole in ((close, nearest), (next_close, second)):
            assert np.array_equal(found[whole <= 3], whole[whole <= 3])
            assert (found[whole > 3] > 3).all()

    def test_one_object_has_no_second(self):
        labels = blob().astype(np.int32)
        nearest, second = two_nearest_mm(labels * 3, (1, 1, 1), reach_mm=5)
        assert (nearest[labels > 0] == 0).all()
        assert np.isposinf(second).all()


def test_the_box_of_a_mask_grows_within_the_array():
    mask = np.zeros((5, 6), bool)
    assert bounding_box(mask) is None
    mask[0, 2:4] = True
    assert bounding_box(mask) == (slice(0, 1), slice(2, 4))
    assert bounding_box(mask, margin=2) == (slice(0, 3), slice(0, 6))
