import itertools

import numpy as np
import pytest
from scipy import ndimage

from segtrain.core.thinning import thinned

SPACES = [(40, 50), (24, 26, 28)]
every_space = pytest.mark.parametrize("space", SPACES, ids=["2d", "3d"])


def random_objects(space, seed=0, above=0.3):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(space), 2)
    return noise > above * noise.std()


def euler(mask):
    """Vertices - edges + faces - cubes of the voxels as closed cubes."""
    total = 0
    for axes in itertools.product((False, True), repeat=mask.ndim):
        cells = np.pad(mask, 1)
        for axis in np.flatnonzero(axes):
            cells = np.delete(cells, -1, axis) | np.delete(cells, 0, axis)
        total += (-1) ** (mask.ndim - sum(axes)) * int(cells.sum())
    return total


def pieces(mask):
    return ndimage.label(mask, np.ones((3,) * mask.ndim))[1]


def holes(mask):
    return ndimage.label(~np.pad(mask, 1))[1] - 1


@every_space
@pytest.mark.parametrize("above", [-0.3, 0.3])
def test_it_keeps_pieces_tunnels_and_cavities(space, above):
    for seed in range(3):
        mask = random_objects(space, seed, above)
        found = thinned(mask)
        assert not (found & ~mask).any()
        assert (pieces(found), holes(found), euler(found)) == (pieces(mask), holes(mask), euler(mask))


@every_space
def test_it_is_thin_and_thinning_it_again_changes_nothing(space):
    mask = random_objects(space)
    found = thinned(mask)
    assert found.sum() < mask.sum() / 4
    assert np.array_equal(thinned(found), found)


def test_a_bar_becomes_its_middle_line():
    bar = np.zeros((9, 9, 40), bool)
    bar[2:7, 2:7, 2:38] = True
    found = thinned(bar)
    assert set(map(tuple, np.argwhere(found)[:, :2])) == {(4, 4)}
    assert found.sum() >= 30


def test_a_bent_tube_keeps_its_length():
    z, y, x = np.ogrid[:60, :40, :40]
    tube = np.hypot(y - 20 - 8 * np.sin(z / 8), x - 20 - 8 * np.cos(z / 8)) < 4
    found = thinned(tube)
    assert pieces(found) == 1
    assert np.ptp(np.argwhere(found)[:, 0]) >= 50
    distance = ndimage.distance_transform_edt(tube)
    assert distance[found].min() > 2


@pytest.mark.parametrize("space", [(9, 9), (9, 9, 9)], ids=["2d", "3d"])
def test_a_ball_becomes_its_centre_and_a_shell_stays_closed(space):
    radius = np.sqrt(sum((axis - 4.0) ** 2 for axis in np.ogrid[tuple(map(slice, space))]))
    assert np.argwhere(thinned(radius < 4)).tolist() == [[4] * len(space)]
    shell = thinned((radius < 4) & (radius > 1.5))
    assert holes(shell) == 1


def test_a_plane_is_thinned_as_a_slice():
    mask = random_objects((30, 30))
    for axis in range(3):
        slab = np.expand_dims(mask, axis)
        assert pieces(thinned(slab)) == pieces(mask)
        assert euler(thinned(slab)) == euler(slab)


def test_nothing_and_a_single_voxel_stay():
    nothing = np.zeros((4, 5, 6), bool)
    assert not thinned(nothing).any()
    nothing[0, 0, 0] = True
    assert np.array_equal(thinned(nothing), nothing)


def test_the_mask_is_left_as_it_was():
    mask = random_objects((20, 20))
    before = mask.copy()
    thinned(mask)
    assert np.array_equal(mask, before)
