"""Outlines -> voxels, against areas that are known and against matplotlib's test of each point."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from segtrain.data.masks.contours import filled, shape_of


def circle(centre, radius, points=720):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.array(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


SQUARE = np.array([[2.5, 1.5], [6.5, 1.5], [6.5, 4.5], [2.5, 4.5]])


def test_a_voxel_belongs_where_its_centre_is():
    found = filled([SQUARE], (9, 7))
    assert np.argwhere(found).min(axis=0).tolist() == [3, 2]
    assert np.argwhere(found).max(axis=0).tolist() == [6, 4]
    assert found.sum() == 12


def test_edges_through_centres_are_counted_once():
    """Two squares side by side share no voxel and leave none out."""
    left = np.array([[1, 1], [4, 1], [4, 5], [1, 5]], float)
    one, other = filled([left], (9, 7)), filled([left + np.array([3, 0])], (9, 7))
    assert one.sum() == other.sum() == 12
    assert not (one & other).any()


@pytest.mark.parametrize("turn", [1, -1])
def test_an_inner_outline_is_a_hole_whichever_way_it_runs(turn):
    found = filled([circle((50, 40), 30), circle((55, 42), 10)[::turn]], (101, 81))
    assert found.sum() == pytest.approx(np.pi * (30**2 - 10**2), rel=5e-3)
    assert not found[55, 42]


def test_an_island_in_a_hole_is_filled():
    found = filled([circle((50, 40), 30), circle((50, 40), 20), circle((50, 40), 5)], (101, 81))
    assert (found[50, 40], found[50, 50], found[50, 65]) == (True, False, True)


def test_a_keyhole_is_a_hole():
    """One outline that runs in and out along the same line."""
    outer, inner = circle((50.0, 40.0), 30), circle((50.0, 40.0), 10)[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner[-1:], inner, outer[:1]])
    np.testing.assert_array_equal(filled([keyhole], (101, 81)), filled([outer, inner], (101, 81)))


def test_what_reaches_beyond_the_image_is_cut():
    found = filled([circle((0, 0), 10)], (20, 20))
    assert found.sum() == pytest.approx(np.pi * 100 / 4 + 10, abs=4)
    assert not filled([circle((-50, -50), 10)], (20, 20)).any()
    assert not filled([circle((50, 5), 10)], (20, 20)).any()


@pytest.mark.parametrize("seed", range(5))
def test_any_star_is_filled_as_matplotlib_has_it(seed):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    star = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(5, 30, (40, 1)) + (31.3, 30.7)
    centres = np.stack(np.indices((64, 60)), axis=-1).reshape(-1, 2)
    judge = Outline(np.concatenate([star, star[:1]])).contains_points(centres).reshape(64, 60)
    np.testing.assert_array_equal(filled([star], (64, 60)), judge)


def judged(outline, shape):
    centres = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
    return Outline(np.concatenate([outline, outline[:1]])).contains_points(centres).reshape(shape)


@pytest.mark.parametrize("order", [1, -1])
def test_outlines_that_cross_are_one_area_with_the_holes_that_both_have(order):
    one, other, hole = circle((30.2, 30.1), 20), circle((45.3, 31.7), 18), circle((37.1, 30.3), 4)
    found = shape_of([one, other, hole][::order], [], (70, 60))
    wanted = (judged(one, (70, 60)) | judged(other, (70, 60))) & ~judged(hole, (70, 60))
    np.testing.assert_array_equal(found.inside, wanted)
    assert (found.crossing, found.repeated) == (2, 0)


def test_a_bar_that_no_corner_of_lies_within_the_other_crosses_it():
    bar = np.array([[2.5, 9.5], [20.5, 9.5], [20.5, 12.5], [2.5, 12.5]])
    found = shape_of([bar, bar[:, ::-1]], [], (24, 24))
    assert found.inside.sum() == 2 * 18 * 3 - 9
    assert found.crossing == 2


def test_a_bay_that_is_bridged_is_no_hole():
    """All corners of the bridge lie within the horseshoe, its edges do not."""
    horseshoe = np.array(
        [[0.5, 0.5], [12.5, 0.5], [12.5, 4.5], [4.5, 4.5], [4.5, 8.5], [12.5, 8.5], [12.5, 12.5], [0.5, 12.5]]
    )
    bridge = np.array([[8.5, 2.5], [10.5, 2.5], [10.5, 10.5], [8.5, 10.5]])
    found = shape_of([horseshoe, bridge], [], (16, 16))
    assert found.inside.sum() == filled([horseshoe], (16, 16)).sum() + 2 * 4


@pytest.mark.parametrize("shift", [0, 0.05])
def test_an_outline_that_is_there_again_counts_once(shift):
    finer = circle((30.2, 30.1), 20, points=500)[::-1]
    found = shape_of([circle((30.2, 30.1), 20), finer + shift], [], (60, 60))
    np.testing.assert_array_equal(found.inside, filled([circle((30.2, 30.1), 20)], (60, 60)))
    assert (found.crossing, found.repeated) == (0, 1)


def test_rings_in_rings_and_what_lies_apart_are_as_by_the_even_odd_rule():
    rings = [circle((30, 30), radius) for radius in (20, 12, 4)] + [circle((70, 30), 15)]
    found = shape_of(rings, [], (100, 60))
    np.testing.assert_array_equal(found.inside, filled(rings, (100, 60)))
    assert (found.crossing, found.repeated) == (0, 0)


def test_a_hole_that_touches_its_rim_is_one_and_neighbours_with_one_edge_are_whole():
    outer = np.array([[1.0, 1], [9, 1], [9, 9], [1, 9]])
    found = shape_of([outer, np.array([[1.0, 3], [5, 3], [5, 6], [1, 6]])], [], (12, 12))
    assert found.inside.sum() == 64 - 12
    beside = outer + np.array([8, 0.0])
    for nearer in (0, 0.05):
        found = shape_of([outer, beside - (nearer, 0)], [], (20, 12))
        assert (found.inside.sum(), found.crossing) == (128, 0)


def test_what_says_xor_is_never_taken_together():
    one, other = circle((30, 30), 20), circle((45, 30), 20)
    found = shape_of([], [one, other], (70, 60))
    np.testing.assert_array_equal(found.inside, filled([one, other], (70, 60)))
    assert found.crossing == 0
