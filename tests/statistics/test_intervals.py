import numpy as np
import pytest

from segtrain.statistics import intervals
from segtrain.statistics.intervals import Interval, mean_interval, mean_of_means_interval


def people(n):
    return [f"P{i:02d}" for i in range(n)]


def test_nothing_one_and_two_patients():
    assert mean_interval([], [], 0) == Interval(None, None, None, 0, 0)
    assert mean_interval([0.5], ["P"], 0) == Interval(0.5, None, None, 1, 1)
    assert mean_interval([0.5, 0.7], ["P", "P"], 0) == Interval(0.6, None, None, 2, 1)
    two = mean_interval([0.5, 0.7], ["P", "Q"], 0)
    assert (two.low, two.high) == (0.5, 0.7)


def test_equal_values_have_an_interval_of_no_width():
    found = mean_interval([0.25] * 5, people(5), 0)
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_the_same_seed_gives_the_same_interval_whatever_the_blocks(monkeypatch):
    values = np.random.default_rng(0).uniform(size=30).tolist()
    first = mean_interval(values, people(30), 7)
    assert mean_interval(values, people(30), 7) == first
    assert mean_interval(values, people(30), 8) != first
    monkeypatch.setattr(intervals, "BLOCK", 1000)
    assert mean_interval(values, people(30), 7).low == pytest.approx(first.low, abs=2e-3)


def test_the_interval_is_near_that_of_the_normal_approximation():
    values = np.random.default_rng(0).normal(0.8, 0.1, 200)
    found = mean_interval(values.tolist(), people(200), 0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert found.low == pytest.approx(values.mean() - half, abs=0.001)
    assert found.high == pytest.approx(values.mean() + half, abs=0.001)


def test_many_cases_of_few_patients_do_not_make_a_narrow_interval():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.uniform(size=8), 20)
    patients = np.repeat(people(8), 20).tolist()
    by_patient = mean_interval(level.tolist(), patients, 0)
    by_case = mean_interval(level.tolist(), [f"{i}" for i in range(160)], 0)
    assert by_patient.high - by_patient.low > 3 * (by_case.high - by_case.low)


def test_the_order_of_cases_does_not_matter():
    values, patients = [0.1, 0.9, 0.4, 0.7], ["P", "Q", "R", "P"]
    back = mean_interval(values[::-1], patients[::-1], 3)
    there = mean_interval(values, patients, 3)
    assert (there.low, there.high) == pytest.approx((back.low, back.high))


class TestMeanOfMeans:
    def test_by_hand_with_undefined_values(self):
        found = mean_of_means_interval([[0.4, None], [0.6, 0.9]], ["P", "Q"], 0)
        assert found.mean == pytest.approx((0.5 + 0.9) / 2)
        assert (found.n_values, found.n_groups) == (3, 2)
        assert found.low == pytest.approx(0.4)
        assert found.high == pytest.approx((0.6 + 0.9) / 2)

    def test_one_column_is_the_plain_interval(self):
        values = np.random.default_rng(0).uniform(size=12)
        plain = mean_interval(values.tolist(), people(12), 3)
        found = mean_of_means_interval(values[:, None].tolist(), people(12), 3)
        assert (found.mean, found.low, found.high) == pytest.approx((plain.mean, plain.low, plain.high))

    def test_nothing_and_one_patient(self):
        assert mean_of_means_interval([], [], 0) == Interval(None, None, None, 0, 0)
        assert mean_of_means_interval([[None, None]], ["P"], 0) == Interval(None, None, None, 0, 1)
        assert mean_of_means_interval([[0.5, 0.7]], ["P"], 0) == Interval(pytest.approx(0.6), None, None, 2, 1)
