import itertools

import numpy as np
import pytest

from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume
from segtrain.reports.planes import MOST_SLICES, PLANES, chosen_slices, grey_pages, pages, shown
from tests.phantoms import grid, scan

AXIAL, CORONAL, SAGITTAL = PLANES
EVERY = np.arange(20)


def block(flips=(1, 1, 1), order=(0, 1, 2)):
    """A scan of 20 mm a side, bright at the patient's left back foot, with a mask in its middle."""
    image, mask = np.zeros((20, 20, 20), np.float32), np.zeros((20, 20, 20), np.uint8)
    image[:5, :6, :7] = 100
    mask[8:12, 8:11, 8:13] = 1
    step = np.eye(4)
    for new, old in enumerate(order):
        step[:3, new] = 0
        step[old, new] = flips[old]
        step[old, 3] = 19 if flips[old] < 0 else 0
    turned = Grid((20, 20, 20), step)

    def turn(array):
        return array[tuple(slice(None, None, f) for f in flips)].transpose(order).copy()

    return Volume(turn(image)[None], turned), LabelMap(turn(mask), turned)


def test_left_is_at_the_right_back_below_and_feet_below():
    seen = shown(*block(), None, [1])
    axial, coronal, sagittal = (pages(seen.image, plane, EVERY)[2] > 0 for plane in PLANES)
    assert axial[14:, 15:].all()
    assert axial.sum() == 6 * 5
    assert coronal[13:, 15:].all()
    assert coronal.sum() == 7 * 5
    assert sagittal[13:, 14:].all(), "the patient looks to the left"
    assert sagittal.sum() == 7 * 6


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_how_a_file_is_turned_does_not_turn_the_picture(order):
    straight = shown(*block(), None, [1])
    for flips in itertools.product((1, -1), repeat=3):
        seen = shown(*block(flips, order), None, [1])
        assert (seen.image == straight.image).all()
        assert (seen.masks["prediction"] == straight.masks["prediction"]).all()
        assert seen.centre == straight.centre
        for axis in range(3):
            np.testing.assert_allclose(seen.mm[axis], straight.mm[axis], atol=1e-9)
            assert seen.numbers[axis][0] == (20 if flips[axis] < 0 else 1), "numbers are those of the file"


def test_the_box_holds_the_masks_with_room_and_knows_where_it_is():
    on = grid(shape=(60, 50, 40), spacing_mm=(1.0, 1.2, 2.5))
    mask = np.zeros(on.shape, np.uint8)
    mask[30:33, 25:27, 20] = 1
    seen = shown(Volume(np.zeros((1, *on.shape), np.float32), on), LabelMap(mask, on), None, [1])
    assert seen.image.shape == (3 + 2 * 12, 2 + 2 * 10, 1 + 2 * 5)
    assert seen.centre == (12, 10, 5)
    assert seen.masks["prediction"][12:15, 10:12, 5].all()
    assert [int(numbers[0]) for numbers in seen.numbers] == [19, 16, 16]
    assert seen.mm[2][5] == pytest.approx(30.0 + 20 * 2.5)


def test_the_slice_is_the_one_where_both_masks_together_are_largest():
    on = grid(shape=(20, 20, 20), spacing_mm=(1, 1, 1))
    first, second = np.zeros((2, *on.shape), np.uint8)
    first[5:8, 5:8, 4] = 1
    second[5:9, 5:9, 6] = 1
    first[5:8, 5:8, 6] = 1
    seen = shown(Volume(np.zeros((1, *on.shape), np.float32), on), LabelMap(first, on), LabelMap(second, on), [1])
    assert seen.numbers[2][seen.centre[2]] == 7


def test_only_named_labels_are_kept_and_an_empty_mask_shows_the_whole_scan():
    image, label = scan()
    for dtype in (np.uint8, np.int32):
        found = LabelMap((label.array * 7).astype(dtype), label.grid)
        assert set(np.unique(shown(image, found, None, [7, 300]).masks["prediction"])) == {0, 7}
        assert shown(image, found, None, [1]).image.shape == image.grid.shape


@pytest.mark.parametrize(("length", "centre"), [(1, 0), (48, 3), (49, 0), (49, 48), (200, 77), (1000, 998)])
def test_slices_are_few_even_and_hold_the_centre(length, centre):
    found = chosen_slices(length, centre)
    assert len(found) == min(length, MOST_SLICES)
    assert centre in found
    assert found[0] == 0
    steps = np.diff([*found, length])
    assert steps.min() >= 1
    assert steps.max() <= -(-length // (MOST_SLICES - 1)) + 1


def test_no_number_is_dark_and_a_flat_scan_has_no_contrast():
    on = Grid((6, 5, 1), np.eye(4))
    image = np.full((1, *on.shape), 7.0)
    full = LabelMap(np.ones(on.shape, np.uint8), on)
    assert (grey_pages(shown(Volume(image, on), full, None, [1]), AXIAL, np.arange(1)) == 0).all()
    image[0, 0, 0, 0], image[0, 1, 0, 0] = np.nan, np.inf
    grey = grey_pages(shown(Volume(image, on), full, None, [1]), AXIAL, np.arange(1))[0, ::-1, ::-1]
    assert grey[0, 0] == grey[0, 1] == 0
    assert grey[1:].min() == 255
