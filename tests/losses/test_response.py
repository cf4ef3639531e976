"""The curves that show a loss are those of the loss."""

from itertools import pairwise

import pytest

from segtrain.core.errors import ConfigError
from segtrain.losses.response import RADIUS, disc, response_of


def at(curve, x):
    return min(zip(curve.x, curve.y, strict=True), key=lambda pair: abs(pair[0] - x))[1]


@pytest.mark.parametrize("name", ["dice", "dice_ce", "lovasz_hinge", "lovasz_softmax"])
def test_the_true_place_and_size_cost_least(name):
    found = response_of(name)
    assert min(found.size.y) == at(found.size, 1.0)
    assert min(found.place.y) == at(found.place, 0.0)
    assert all(later > earlier - 0.02 for earlier, later in pairwise(found.place.y))


def test_the_price_of_misses_and_inventions_can_be_seen():
    found = response_of("tversky", fp_weight=0.2, fn_weight=0.8)
    assert at(found.size, 0.5) > at(found.size, 1.5)
    assert max(found.missed.y) > 2 * max(found.invented.y) > 0


def test_cross_entropy_pulls_hardest_where_it_is_surely_wrong():
    found = response_of("bce")
    assert list(found.missed.y) == sorted(found.missed.y, reverse=True)
    assert list(found.invented.y) == sorted(found.invented.y)


def test_a_disc_is_as_large_as_it_says():
    assert disc(RADIUS, 0).sum().item() == pytest.approx(3.1416 * RADIUS**2, rel=0.03)
    assert disc(0, 0).sum() == 0


def test_wrong_options_are_named():
    with pytest.raises(ConfigError, match="fn_wait"):
        response_of("tversky", fn_wait=1)
