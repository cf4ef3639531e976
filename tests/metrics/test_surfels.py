import numpy as np
import pytest

from segtrain.metrics.surfels import surfel_sizes


def test_a_flat_wall_has_the_area_of_a_voxel_face():
    sizes = surfel_sizes((2.0, 3.0, 5.0))
    assert sizes[0b11110000] == sizes[0b00001111] == 3 * 5  # all voxels of one x are inside
    assert sizes[0b11001100] == 2 * 5
    assert sizes[0b10101010] == 2 * 3


def test_a_corner_is_a_triangle_between_the_middles_of_three_edges():
    # Corners at half a voxel along each axis: an equilateral triangle with sides of sqrt(1/2).
    assert surfel_sizes((1.0, 1.0, 1.0))[1] == pytest.approx(np.sqrt(3) / 4 * 0.5)


def test_inside_and_outside_change_places_without_a_change_of_area():
    for sizes in (surfel_sizes((1.0, 2.0, 3.0)), surfel_sizes((1.0, 2.0))):
        assert (sizes == sizes[::-1]).all()
        assert sizes[0] == sizes[-1] == 0
        assert (sizes[1:-1] > 0).all()


def test_in_a_plane_a_piece_of_contour_is_as_long_as_a_side_or_half_a_diagonal():
    sizes = surfel_sizes((3.0, 4.0))
    assert (sizes[0b1100], sizes[0b1010]) == (4, 3)
    assert (sizes[0b0001], sizes[0b1001]) == (2.5, 5)
