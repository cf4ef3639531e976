from itertools import combinations, pairwise

import pytest

from segtrain.core.colours import label_colour


def distance(one, other):
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5


def test_a_colour_is_of_three_shares():
    assert all(0 <= share <= 1 for place in range(100) for share in label_colour(place))


def test_labels_that_follow_each_other_look_different():
    colours = [label_colour(place) for place in range(254)]
    assert min(distance(*pair) for pair in pairwise(colours)) > 0.4


@pytest.mark.parametrize(("count", "apart"), [(4, 0.3), (8, 0.15)])
def test_few_labels_all_look_different(count, apart):
    assert min(distance(*pair) for pair in combinations(map(label_colour, range(count)), 2)) > apart
