import pytest

from segtrain.statistics.paired import Paired
from segtrain.statistics.verdict import verdict


def pair(difference, low, high, n=10):
    return Paired(difference, low, high, 0.01, 0.5, 0.8, n, n)


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
