import numpy as np

from segtrain.metrics.counts import Counts
from segtrain.metrics.pair import Pair

MASK = np.pad(np.ones((3, 3, 3), bool), 1)


def test_costly_views_are_made_once_and_only_when_asked_for():
    asked = []

    def cut():
        asked.append("cut")
        return MASK, MASK

    pair = Pair("a", Counts(27, 0, 0), (1.0, 1.0, 1.0), cut)
    assert asked == []
    assert pair.surfaces is pair.surfaces
    assert pair.components is pair.components
    assert pair.skeletons is pair.skeletons
    assert asked == ["cut"]
    assert pair.components.reference.count == 1
    assert pair.skeletons[0].sum() == 1
