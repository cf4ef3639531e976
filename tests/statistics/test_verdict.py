import math
from dataclasses import replace

import numpy as np
import pytest

from segtrain.statistics.paired import Paired, compare_pair
from segtrain.statistics.verdict import verdict


def pair(difference, low, high, n=10):
    return Paired(difference, low, high, 0.01, math.copysign(0.5, difference), 0.8, n, n, low, high)


@pytest.mark.parametrize(
    ("difference", "low", "high", "p_holm", "word"),
    [
        (0.03, 0.01, 0.05, 0.01, "better"),
        (-0.03, -0.05, -0.01, 0.01, "worse"),
        (0.03, 0.01, 0.05, 0.06, "not decided"),
        (0.03, -0.001, 0.05, 0.01, "not decided"),
        (0.004, 0.001, 0.009, 0.001, "equivalent"),
        (0.0, 0.0, 0.0, 1.0, "equivalent"),
        (0.0, -0.011, 0.009, 1.0, "not decided"),
        (0.03, 0.01, 0.05, None, "not decided"),
    ],
)
def test_the_words(difference, low, high, p_holm, word):
    assert verdict(pair(difference, low, high), p_holm) == word


def test_five_patients_say_nothing_however_clear():
    assert verdict(pair(0.5, 0.4, 0.6, n=5), 0.0001) == "too few patients"
    assert verdict(pair(0.5, 0.4, 0.6, n=6), 0.0001) == "better"


def test_direction_and_margin_are_the_metrics():
    assert verdict(pair(3, 1, 5), 0.01, higher_is_better=False) == "worse"
    assert verdict(pair(0.03, 0.01, 0.05), 0.01, margin=0.1) == "equivalent"


def test_without_a_margin_nothing_is_equivalent():
    assert verdict(pair(0.0, 0.0, 0.0), 1.0, margin=None) == "not decided"
    assert verdict(pair(0.004, 0.001, 0.009), 0.01, margin=None) == "better"


def test_most_patients_and_the_mean_must_say_the_same():
    """A few large gains may lift the mean where nearly everybody is worse, which is what the ranks test."""
    lifted = replace(pair(0.03, 0.01, 0.05), effect=-0.4)
    assert verdict(lifted, 0.01) == "not decided"


def test_the_interval_of_few_patients_is_not_taken_as_narrow_as_the_bootstrap_has_it():
    narrow = replace(pair(0.004, 0.001, 0.009), t_low=-0.003, t_high=0.011)
    assert verdict(narrow, 0.5) == "not decided"


def test_pairs_of_six_whose_true_difference_is_the_margin_are_seldom_called_equivalent():
    """The nominal rate is 2.5 %; the bootstrap's interval alone has 7.4 %."""
    random = np.random.default_rng(0)
    owners = {str(i): str(i) for i in range(6)}
    called = 0
    for _ in range(1000):
        gaps = random.normal(0.01, 0.008, 6)
        found = compare_pair(dict(zip(owners, gaps, strict=True)), dict.fromkeys(owners, 0.0), owners, 0, draws=500)
        called += verdict(found, 1.0) == "equivalent"
    assert called < 40
