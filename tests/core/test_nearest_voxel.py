import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from segtrain.core import nearest_voxel
from segtrain.core.nearest_voxel import distances_between_mm


def by_a_map(points, targets, spacing_mm):
    return distance_transform_edt(~targets, sampling=spacing_mm)[points]


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [((9, 8, 7), (1, 1, 1)), ((20, 18, 6), (0.8, 0.8, 2.5)), ((31, 12), (0.5, 3.0)), ((5, 1, 9), (1, 2, 1))],
)
@pytest.mark.parametrize("share", [0.3, 0.01])
def test_distances_are_those_of_a_whole_map(shape, spacing_mm, share):
    rng = np.random.default_rng(0)
    points, targets = (rng.random(shape) < share for _ in range(2))
    points.flat[0] = targets.flat[-1] = True
    found = distances_between_mm(points, targets, spacing_mm)
    assert found == pytest.approx(by_a_map(points, targets, spacing_mm), abs=1e-6)


@pytest.mark.parametrize("point_cost", [0.0, 1e9])
def test_far_points_are_exact_by_a_tree_and_by_a_map(monkeypatch, point_cost):
    monkeypatch.setattr(nearest_voxel, "POINT_COST", point_cost)
    points, targets = np.zeros((2, 40, 30, 8), bool)
    points[:3], targets[-2:, 5] = True, True
    found = distances_between_mm(points, targets, (0.7, 1.3, 3.0), threads=2)
    assert found == pytest.approx(by_a_map(points, targets, (0.7, 1.3, 3.0)), rel=1e-6)


def test_spacing_much_coarser_along_one_axis():
    points, targets = np.zeros((2, 4, 4, 4), bool)
    points[0, 0, 0] = targets[1, 0, 0] = targets[0, 3, 3] = True
    assert distances_between_mm(points, targets, (100.0, 1.0, 1.0)) == pytest.approx(np.sqrt([18.0]))
