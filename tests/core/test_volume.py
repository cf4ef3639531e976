"""An array and its grid fit, or there is no volume."""

import numpy as np
import pytest

from segtrain.core.volume import LabelMap, Volume
from tests.phantoms import grid

GRID = grid((4, 3, 2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_a_volume_keeps_its_array_as_it_is(channels, dtype):
    array = np.zeros((channels, 4, 3, 2), dtype)
    assert Volume(array, GRID).array is array


@pytest.mark.parametrize("shape", [(4, 3, 2), (1, 3, 4, 2), (1, 4, 3, 2, 1)])
def test_an_image_of_another_shape_is_refused_with_both(shape):
    with pytest.raises(ValueError, match=r"does not fit a grid of \(4, 3, 2\)"):
        Volume(np.zeros(shape), GRID)


@pytest.mark.parametrize("shape", [(1, 4, 3, 2), (2, 3, 4), (4, 3)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="does not fit"):
        LabelMap(np.zeros(shape, np.uint8), GRID)


@pytest.mark.parametrize("dtype", [np.float32, bool, complex])
def test_a_mask_holds_integers(dtype):
    with pytest.raises(ValueError, match="holds integers"):
        LabelMap(np.zeros(GRID.shape, dtype), GRID)


@pytest.mark.parametrize(
    ("smallest", "largest", "dtype"),
    [(0, 255, np.uint8), (0, 256, np.uint16), (0, 65535, np.uint16), (0, 65536, np.int32), (-1, 3, np.int32)],
)
def test_ids_are_stored_in_the_smallest_type_that_holds_them(smallest, largest, dtype):
    array = np.zeros(GRID.shape, np.int64)
    array[0, 0, 0], array[3, 2, 1] = smallest, largest
    stored = LabelMap(array, GRID).compact()
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, array)


def test_ids_that_no_mask_can_hold_are_a_bug():
    with pytest.raises(ValueError, match="do not fit into 32 bits"):
        LabelMap(np.full(GRID.shape, 2**31), GRID).compact()
