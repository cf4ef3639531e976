import numpy as np
import pytest

from segtrain.statistics.ranking import agreement, place, rank


def people(n):
    return [f"P{i}" for i in range(n)]


def test_ties_share_the_mean_of_their_places():
    assert place(np.array([[0.3, 0.1, 0.3]])).tolist() == [[2.5, 1.0, 2.5]]
    assert place(np.array([0.1 + 0.2, 0.3])).tolist() == [1.5, 1.5]


def test_the_two_rules_can_disagree():
    values = np.array([[0.9, 0.8], [0.9, 0.8], [0.1, 0.8]])
    found = rank(values, people(3), 0)
    assert found.of_mean == (2, 1)
    assert found.mean == pytest.approx((4 / 3, 5 / 3))


def test_a_clear_order_has_a_narrow_interval_and_a_draw_a_wide_one():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.4, 0.9, (30, 1))
    values = np.hstack([base + 0.05, base + rng.normal(0, 0.02, (30, 1)), base + rng.normal(0, 0.02, (30, 1))])
    found = rank(values, people(30), 0)
    assert (found.low[0], found.high[0]) == (1, 1)
    assert (found.low[1], found.high[1]) == (2, 3)


def test_lower_can_be_better():
    values = np.array([[5.0, 3.0], [6.0, 2.0]])
    assert rank(values, people(2), 0, higher_is_better=False).of_mean == (2, 1)


def test_nothing_to_rank_and_one_patient():
    assert rank(np.zeros((0, 2)), [], 0) is None
    assert rank(np.zeros((0, 0)), [], 0) is None
    assert rank(np.array([[0.1, 0.2]]), ["P"], 0).low == (None, None)


def test_how_often_each_method_has_each_place():
    rng = np.random.default_rng(1)
    base = rng.uniform(0.4, 0.9, (30, 1))
    values = np.hstack([base + 0.05, base, base + rng.normal(0, 0.02, (30, 1))])
    found = rank(values, people(30), 0)
    assert found.shares[0] == (1.0, 0.0, 0.0)
    assert found.shares[1][0] == 0
    assert np.sum(found.shares, axis=1) == pytest.approx([1, 1, 1])


def test_methods_that_share_a_place_share_the_better_one():
    found = rank(np.ones((6, 3)), people(6), 0)
    assert found.shares == ((1.0, 0.0, 0.0),) * 3


def test_two_orders_agree_or_turn_each_other_round():
    assert agreement(np.array([1.0, 2, 3]), np.array([10.0, 20, 30])) == pytest.approx(1)
    assert agreement(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    assert agreement(np.array([1.0, 1, 1]), np.array([3.0, 2, 1])) is None
