"""Outlines -> voxels, against areas that are known and against matplotlib's test of each point."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from segtrain.data.masks.contours import filled


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
