import numpy as np
import pytest
from scipy import stats

from segtrain.statistics.folds import corrected_test


def test_five_folds_by_hand():
    gaps = [0.01, 0.02, 0.015, 0.005, 0.03]
    found = corrected_test(gaps, folds=5)
    t = np.mean(gaps) / np.sqrt((1 / 5 + 1 / 4) * np.var(gaps, ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert (found.low + found.high) / 2 == pytest.approx(found.difference)
    assert found.p > stats.ttest_1samp(gaps, 0).pvalue  # which takes folds for independent


def test_a_p_of_5_percent_ends_the_interval_at_0():
    gaps = np.array([0.1, -0.2, 0.3, 0.15, 0.05, 0.1])
    wanted = corrected_test(gaps, 3)
    shifted = corrected_test(gaps - wanted.low, 3)
    assert shifted.low == pytest.approx(0, abs=1e-12)
    assert shifted.p == pytest.approx(0.05)


@pytest.mark.parametrize(("gaps", "p"), [([0.0, 0.0, 0.0], 1.0), ([0.1, 0.1], 0.0)])
def test_folds_that_are_all_alike(gaps, p):
    assert corrected_test(gaps, 3).p == p


@pytest.mark.parametrize(("gaps", "folds"), [([], 5), ([0.1], 5), ([0.1, 0.2], 1)])
def test_too_few(gaps, folds):
    assert corrected_test(gaps, folds) is None


def test_null_folds_are_seldom_called_different():
    """Scores of networks that share most training cases: their differences are correlated."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(400):
        shared = rng.normal(scale=0.5)
        wrong += corrected_test(rng.normal(size=5) + shared, 5).p < 0.05
    assert wrong / 400 < 0.08
