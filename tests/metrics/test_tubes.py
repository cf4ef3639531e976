import numpy as np
import pytest

from segtrain.metrics import score


def tube(length=20, gap=None):
    mask = np.zeros((24, 7, 7), np.uint8)
    mask[2 : 2 + length, 2:5, 2:5] = 1
    if gap:
        mask[gap] = 0
    return mask


def cldice(prediction, reference):
    return score(prediction, reference, (1, 1, 1), metrics=["cldice"])["1"]["cldice"].value


def test_a_tube_is_itself():
    assert cldice(tube(), tube()) == 1


def test_a_thinner_wall_costs_nothing_and_a_missing_half_does():
    thin = np.zeros_like(tube())
    thin[2:22, 3, 3] = 1
    assert cldice(thin, tube()) == pytest.approx(1.0)
    # All of the prediction's centre line is right, about half of the reference's is covered.
    assert 0.6 < cldice(tube(10), tube()) < 0.75


def test_masks_that_do_not_touch():
    other = np.zeros_like(tube())
    other[2:22, 6, 6] = 1
    assert cldice(other, tube()) == 0


def test_memory_order_changes_nothing():
    rng = np.random.default_rng(0)
    a, b = ((tube() > 0) & (rng.random(tube().shape) < 0.9) for _ in range(2))
    assert cldice(np.asfortranarray(a), np.asfortranarray(b)) == cldice(a, b)
