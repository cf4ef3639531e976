"""Grids: positions of voxels stay where they are in the patient."""

import numpy as np
import pytest

from segtrain.core.grid import Grid
from tests.phantoms import grid


@pytest.mark.parametrize("degrees", [0, 25, 100, 200])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, -1)])
def test_canonical_keeps_the_field_of_view_and_points_to_r_a_s(degrees, flips):
    native = grid(degrees=degrees, flips=flips)
    canonical = native.canonical()
    corners = [np.round(np.sort(g.corners(), axis=0), 6) for g in (native, canonical)]
    assert np.allclose(*corners)
    assert canonical.orientation() == ((0, 1, 2), (False, False, False))


def test_respacing_keeps_the_outer_edges():
    native = Grid((10, 20, 5), np.diag([1.0, 2.0, 3.0, 1.0]))
    fine = native.respaced((0.5, 4.0, 3.0))
    assert fine.shape == (20, 10, 5)
    edges = [g.positions_mm(np.array([[-0.5] * 3, np.array(g.shape) - 0.5])) for g in (native, fine)]
    assert np.allclose(*edges)


def test_distance_between_grids_is_in_voxels():
    native = grid(spacing_mm=(2.0, 2.0, 4.0))
    moved = native.affine.copy()
    moved[0, 3] += 1.0
    assert native.distance_voxels(Grid(native.shape, moved)) == pytest.approx(0.5)
    assert native.distance_voxels(Grid((1, 1, 1), moved)) == float("inf")


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3)])
def test_an_affine_that_is_none_is_refused(affine):
    with pytest.raises(ValueError, match="affine"):
        Grid((2, 2, 2), affine)


def test_json_round_trip():
    native = grid(degrees=12)
    again = Grid.from_json(native.to_json())
    assert again.shape == native.shape
    assert np.array_equal(again.affine, native.affine)


def test_an_affine_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        grid().affine[0, 0] = 3


@pytest.mark.parametrize("axes", [(), (0,), (2,), (0, 1), (0, 1, 2)])
def test_mirrored_axes_are_named_wherever_the_other_grid_begins(axes):
    one = grid((5, 6, 7), degrees=20)
    turn = np.diag([-1.0 if axis in axes else 1.0 for axis in range(3)] + [1.0])
    turn[:3, 3] = (3, -8, 40)
    other = Grid(one.shape, one.affine @ turn)
    assert one.mirrored_axes(other) == ", ".join("xyz"[axis] for axis in axes)


def test_grids_that_differ_by_more_have_no_mirrored_axes():
    one = grid((6, 6, 6), degrees=20)
    others = [
        Grid((6, 6, 5), one.affine),
        Grid(one.shape, one.affine @ np.diag([-1.01, 1, 1, 1])),
        Grid(one.shape, one.affine[:, [1, 0, 2, 3]]),
        grid((6, 6, 6), degrees=21),
    ]
    assert [one.mirrored_axes(other) for other in others] == [None] * 4
