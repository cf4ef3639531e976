"""Slices that lie anyhow come onto a grid: against SimpleITK, and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.data.repair.slice_stack import Evened, SliceStack

STEPS_MM = np.array([[2.0, 0], [0, 1.0], [0, 0]])


def stack(heights, slope=0.0, size=(6, 5)) -> SliceStack:
    """Upright slices, or leaning along the columns by so many mm a mm."""
    heights = np.asarray(heights, dtype=float)
    places = np.column_stack([0 * heights + 7, slope * heights - 3, heights + 40])
    return SliceStack(size, STEPS_MM, places)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 100, shape).astype(np.float32)


def between_by_simpleitk(one, other, gap_mm, at_mm) -> np.ndarray:
    """(X, Y): a slice of linear interpolation between two that lie `gap_mm` apart."""
    image = sitk.GetImageFromArray(np.stack([one, other]).astype(np.float64))
    image.SetSpacing((1.0, 1.0, gap_mm))
    found = sitk.Resample(
        image, (one.shape[1], one.shape[0], 1), sitk.Transform(), sitk.sitkLinear, (0, 0, at_mm), (1.0, 1.0, 1.0)
    )
    return sitk.GetArrayFromImage(found)[0]


@pytest.mark.parametrize(
    ("heights", "even"),
    [([0, 2, 8, 10], [0, 2, 4, 6, 8, 10]), ([0, 2, 5, 9], [0, 2.25, 4.5, 6.75, 9]), ([0, 3, 6], [0, 1.5, 3, 4.5, 6])],
)
def test_slices_between_others_are_those_of_simpleitk(heights, even):
    array = noise((6, 5, len(heights)))
    evened = Evened(stack(heights), np.array(heights, float), np.array(even, float), upright=False)
    found = evened.values(array)
    assert found.dtype == np.float32
    for number, height in enumerate(even):
        if height in heights:
            np.testing.assert_array_equal(found[..., number], array[..., heights.index(height)])
            continue
        low = max(n for n, h in enumerate(heights) if h < height)
        gap, at = heights[low + 1] - heights[low], height - heights[low]
        judge = between_by_simpleitk(array[..., low], array[..., low + 1], gap, at)
        np.testing.assert_allclose(found[..., number], judge, atol=1e-3)
    np.testing.assert_allclose(evened.grid.positions_mm(np.array([[0.0, 0, len(even) - 1]])), [[7, -3, 40 + even[-1]]])


def test_whole_numbers_stay_whole_numbers_and_are_rounded():
    evened = Evened(stack([0, 2, 6]), np.array([0.0, 2, 6]), np.array([0.0, 2, 4, 6]), upright=False)
    found = evened.values(np.broadcast_to(np.array([10, 20, 25], np.int16), (6, 5, 3)))
    assert found.dtype == np.int16
    assert found[0, 0].tolist() == [10, 20, 22, 25]


def sheared_by_simpleitk(array, slope, size, corner, step_mm) -> np.ndarray:
    """(X', Y', n): the inverse of a lean along the columns, with an affine transform; the smallest value beyond."""
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0).astype(np.float64))
    image.SetSpacing((2.0, 1.0, step_mm))
    back = sitk.AffineTransform(3)
    back.SetMatrix((1, 0, 0, 0, 1, -slope, 0, 0, 1))
    origin = (2.0 * corner[0], 1.0 * corner[1], 0.0)
    fill, spacing, direction = float(array.min()), image.GetSpacing(), image.GetDirection()
    onto = ((*size, array.shape[2]), back, sitk.sitkLinear, origin, spacing, direction, fill)
    moved = sitk.Resample(image, *onto)
    return sitk.GetArrayFromImage(moved).transpose(2, 1, 0)


@pytest.mark.parametrize("slope", [0.5, 0.27, -0.27, -1.0])
def test_slices_that_lean_are_moved_within_their_plane_as_simpleitk_moves_them(slope):
    heights = np.array([0.0, 2, 4, 6])
    array = noise((6, 5, 4))
    evened = Evened(stack(heights, slope), heights, heights, upright=True)
    found, x, y = evened.values(array), *evened.grid.shape[:2]
    low = min(0, np.floor(slope * 6))
    assert (x, y) == (6, 5 + np.ceil(abs(slope) * 6))
    judge = sheared_by_simpleitk(array, slope, (x, y), (0, low), 2.0)
    inside = np.zeros(found.shape, bool)
    for number in range(4):
        first = slope * heights[number] - low
        inside[:, int(np.ceil(first - 1e-6)) : int(np.floor(first + 4 + 1e-6)) + 1, number] = True
    np.testing.assert_allclose(found[inside], judge[inside], atol=1e-3)
    assert (found[~inside] == array.min()).all()
    assert evened.grid.affine[:3, 2].tolist() == pytest.approx([0, 0, 2])
    np.testing.assert_array_equal(evened.grid.affine[:3, 3], [7, -3 + low, 40])


def test_a_lean_that_stays_is_in_the_affine():
    heights = np.array([0.0, 2, 4])
    grid = Evened(stack(heights, 0.005), heights, heights, upright=False).grid
    assert grid.affine[:3, 2].tolist() == pytest.approx([0, 0.01, 2])
    assert grid.shape == (6, 5, 3)


def drawn_on(numbers, count, size=(6, 5)):
    array = np.zeros((*size, count), np.uint8)
    for number in numbers:
        array[2, 3, number] = number + 1
    return array


def test_a_missing_slice_has_the_labels_of_the_nearer_one_and_of_two_those_of_the_first():
    slots = np.arange(8) * 2.0
    evened = Evened(stack([0, 2, 4, 12, 14]), slots, slots, upright=False)
    drawn = evened.on_slots(drawn_on([0, 1, 2, 3, 4], 5))
    assert drawn[2, 3].tolist() == [1, 2, 3, 0, 0, 0, 4, 5]
    assert evened.labels(drawn)[2, 3].tolist() == [1, 2, 3, 3, 3, 4, 4, 5]
    assert evened.borrowed(drawn) == 3


def test_what_was_drawn_on_a_missing_slice_is_kept_there():
    slots = np.arange(4) * 2.0
    evened = Evened(stack([0, 2, 6]), slots, slots, upright=False)
    drawn = drawn_on([2], 4)
    assert evened.labels(drawn)[2, 3].tolist() == [0, 0, 3, 0]
    assert evened.borrowed(drawn) == 0


def test_even_slices_have_the_labels_of_the_nearest_of_uneven_ones():
    heights = np.array([0.0, 2, 5])
    evened = Evened(stack(heights), heights, np.array([0, 5 / 3, 10 / 3, 5]), upright=False)
    assert evened.labels(drawn_on([0, 1, 2], 3))[2, 3].tolist() == [1, 2, 2, 3]


@pytest.mark.parametrize("upright", [True, False])
def test_points_on_a_slice_come_onto_its_slot_and_points_between_stay_between(upright):
    heights = np.array([0.0, 2, 5, 7])
    lean = stack(heights, 0.3)
    evened = Evened(lean, heights, heights, upright)
    inverse = np.linalg.inv(evened.slot_grid.affine)
    for number, place in enumerate(lean.places_mm):
        points = place + np.array([[0.0, 0, 0], [2 * 2.0, 3, 0]])
        index = evened.straightened(points) @ inverse[:3, :3].T + inverse[:3, 3]
        np.testing.assert_allclose(index, [[0, 0, number], [2, 3, number]], atol=1e-9)
    between = (lean.places_mm[1] + lean.places_mm[2]) / 2
    for point, at in ((between, 1.5), (lean.places_mm[0] - (0, 0.3, 1), -0.5), (lean.places_mm[3] + (0, 0.6, 2), 4)):
        index = inverse @ [*evened.straightened(point[None])[0], 1]
        assert index[2] == pytest.approx(at)


def test_a_frame_across_the_slices_is_known():
    evened = Evened(stack([0, 2, 5]), np.array([0.0, 2, 5]), np.array([0.0, 2.5, 5]), upright=False)
    assert not evened.leans_out(STEPS_MM, (6, 5))
    assert evened.leans_out(STEPS_MM[[0, 2, 1]], (6, 5))


def test_slices_beside_the_line_of_the_others_are_known():
    bent = stack([0, 2, 4])
    places = bent.places_mm.copy()
    places[1, 0] += 3
    assert SliceStack(bent.size, STEPS_MM, places).off_line_mm.tolist() == pytest.approx([0, 3, 0])
    assert stack([0, 2, 4], 0.3).off_line_mm.max() < 1e-9


def test_two_stacks_have_the_same_slices_or_not():
    assert stack([0, 2, 5]).same_slices(stack([0, 2, 5.005]), 0.01)
    assert not stack([0, 2, 5]).same_slices(stack([0, 2, 5.02]), 0.01)
    assert not stack([0, 2, 5]).same_slices(stack([0, 2]), 0.01)
    assert not stack([0, 2]).same_slices(stack([0, 2], size=(5, 6)), 0.01)
