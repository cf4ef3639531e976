"""Changes are addressed, within their ranges, and as frequent as asked."""

import numpy as np
import pytest

from segtrain.data.augment.draw import draw
from segtrain.data.settings import AugmentSettings

ALWAYS = AugmentSettings(spatial_probability=1, intensity_probability=1, flip_axes=(0, 2))


def test_the_same_address_draws_the_same_change():
    one, two = draw(ALWAYS, (0, 1, 2), 3, 17), draw(ALWAYS, (0, 1, 2), 3, 17)
    assert np.array_equal(one.matrix, two.matrix)
    assert (one.factor, one.noise_seed) == (two.factor, two.noise_seed)
    assert draw(ALWAYS, (0, 1, 2), 4, 17).noise_seed != one.noise_seed


def test_values_stay_in_their_ranges():
    changes = [draw(ALWAYS, (0, 1, 2), 0, i) for i in range(300)]
    sizes = [np.abs(np.linalg.det(c.matrix)) ** (-1 / 3) for c in changes]
    assert 1 / 1.2 - 1e-9 <= min(sizes) < 0.9 < 1.1 < max(sizes) <= 1.2 + 1e-9
    assert all(1 / 1.25 <= c.factor <= 1.25 and abs(c.shift) <= 0.2 and 0 <= c.noise <= 0.1 for c in changes)


def test_only_allowed_axes_are_mirrored():
    assert {f for i in range(100) for f in draw(ALWAYS, (0, 1, 2), 0, i).flips} == {0, 2}
    assert {f for i in range(100) for f in draw(ALWAYS, (1, 2), 0, i).flips} == {1}


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_share_of_moved_patches_is_as_asked(share):
    settings = AugmentSettings(spatial_probability=share)
    moved = np.mean([draw(settings, (0, 1), 0, i).matrix is not None for i in range(500)])
    assert moved == pytest.approx(share, abs=0.07)
