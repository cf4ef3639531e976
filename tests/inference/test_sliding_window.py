"""Windows cover a scan evenly, and weigh most where they know most."""

import numpy as np
import pytest

from segtrain.inference.sliding_window import gaussian_window, padded, window_starts


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_windows_reach_both_edges_and_overlap_as_asked(overlap):
    starts = [s[0] for s in window_starts((100, 8, 8), (16, 8, 8), overlap)]
    assert starts[0] == 0
    assert starts[-1] == 84
    assert max(np.diff(starts)) <= 16 * (1 - overlap) + 1


@pytest.mark.parametrize("along", [0, 1, 2])
def test_windows_come_in_the_order_of_an_axis(along):
    starts = window_starts((20, 30, 25), (8, 8, 8), 0.5, along=along)
    assert [s[along] for s in starts] == sorted(s[along] for s in starts)
    assert sorted(starts) == window_starts((20, 30, 25), (8, 8, 8), 0.5)


def test_the_window_weighs_most_at_its_centre_and_never_nothing():
    weight = gaussian_window((9, 9, 1))
    assert weight.max() == weight[4, 4, 0] == 1
    assert np.float16(weight.min()) > 0


def test_a_scan_smaller_than_the_window_is_padded_with_the_mean_on_both_sides():
    image, before = padded(np.ones((2, 3, 9, 5), np.float32), (6, 8, 8))
    assert (image.shape, before) == ((2, 6, 9, 8), (1, 0, 1))
    assert image.sum() == 2 * 3 * 9 * 5
    assert (image[:, 1:4, :, 1:6] == 1).all()


def test_a_scan_that_is_large_enough_is_not_copied():
    image = np.ones((1, 8, 8, 8), np.float32)
    assert padded(image, (8, 8, 8)) == (image, (0, 0, 0))
