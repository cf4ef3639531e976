import numpy as np
import pytest

from segtrain.metrics.surface import Directed, corner_codes, surface_distances, voxel_borders_mm


def cube(start, size=3, shape=(12, 10, 10)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(s, s + size) for s in start)] = True
    return mask


def test_equal_masks_have_no_distance():
    found = surface_distances(cube((3, 3, 3)), cube((3, 3, 3)), (1, 1, 1))
    assert all((side.distances_mm == 0).all() for side in found.both)


def test_the_area_of_a_box_is_that_of_its_faces_but_for_its_bevelled_edges():
    # Of a box of 20 x 20 x 20 voxels, 19 x 19 elements of each face are flat.
    mask = np.pad(np.ones((20, 20, 20), bool), 2)
    area = surface_distances(mask, mask, (1, 1, 1)).to_reference.areas_mm2.sum()
    edge, corner = np.sqrt(2) / 2, np.sqrt(3) / 8
    assert area == pytest.approx(6 * 19 * 19 + 12 * 19 * edge + 8 * corner)


def test_a_cube_moved_along_one_axis():
    found = surface_distances(cube((5, 3, 3)), cube((3, 3, 3)), (2.0, 1.0, 1.0))
    # The front face moved by two voxels of 2 mm, but the side faces of the reference are only 1 or 2 mm away.
    assert found.to_reference.distances_mm[-1] == 4.0
    assert found.to_reference.percentile_mm(100) == found.to_prediction.percentile_mm(100) == 4.0


def test_the_edge_of_the_image_is_a_surface():
    whole = np.ones((4, 4, 4), bool)
    inner = np.pad(np.ones((2, 2, 2), bool), 1)
    found = surface_distances(inner, whole, (1, 1, 1))
    assert found.to_reference.distances_mm.min() == 1
    assert found.to_prediction.distances_mm.max() == pytest.approx(np.sqrt(3))


def test_a_plane_has_contours():
    mask = np.pad(np.ones((3, 3), bool), 2)
    found = surface_distances(mask, np.roll(mask, 1, 0), (2.0, 1.0))
    assert found.to_reference.areas_mm2.sum() == pytest.approx(2 * 2 * 2 + 2 * 2 * 1 + 4 * np.sqrt(5) / 2)
    assert found.to_reference.distances_mm[-1] == 2.0


class TestDirected:
    side = Directed(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0, 1.0]))

    def test_percentiles_go_by_area(self):
        assert [self.side.percentile_mm(p) for p in (25, 26, 75, 95, 100)] == [0, 1, 2, 3, 3]
        heavy = Directed(np.array([0.0, 9.0]), np.array([99.0, 1.0]))
        assert (heavy.percentile_mm(95), heavy.percentile_mm(99.5)) == (0, 9)

    def test_a_distance_that_equals_the_tolerance_but_for_rounding_is_within(self):
        third = Directed(np.array([3 * 0.8]), np.array([2.0]))
        assert 3 * 0.8 > 2.4
        assert third.area_within_mm2(2.4) == 2
        assert third.area_within_mm2(2.39) == 0

    def test_the_mean_goes_by_area(self):
        assert Directed(np.array([0.0, 4.0]), np.array([3.0, 1.0])).mean_mm == 1


def test_codes_have_a_bit_for_each_voxel_around_a_corner():
    codes = corner_codes(np.ones((1, 1, 1), bool))
    assert sorted(codes.reshape(-1).tolist()) == [1, 2, 4, 8, 16, 32, 64, 128]


def test_borders_of_voxels_as_medpy_has_them():
    found = voxel_borders_mm(cube((4, 3, 3)), cube((3, 3, 3)), (3.0, 1.0, 1.0))
    # 26 of 27 voxels of a cube of 3 have a face outside; 9 moved out of the other cube, 17 lie in its border or middle.
    assert len(found) == 52
    assert sorted(np.unique(found)) == [0.0, 1.0, 3.0]
