import numpy as np
import pytest
from scipy import stats

from segtrain.statistics.folds import FoldScores, corrected_test


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


def test_folds_compare_the_cases_that_both_have_and_weigh_patients():
    """By hand: in fold 0 the gaps are P 0.1 (of 0.2 and 0.0) and Q 0.3, in fold 1 R alone, with 0.1."""
    ours = {"0/0": {"p1": 0.7, "p2": 0.5, "q": 0.9, "x": 0.1}, "0/1": {"r": 0.6, "y": None}}
    theirs = {"0/0": {"p1": 0.5, "p2": 0.5, "q": 0.6}, "0/1": {"r": 0.5, "y": 0.9}, "0/2": {"z": 0.5}}
    patients = {"p1": "P", "p2": "P", "q": "Q", "r": "R", "x": "X", "y": "Y", "z": "Z"}
    found = FoldScores(5, {"a": ours, "b": theirs}).test("a", "b", patients)
    wanted = corrected_test([0.2, 0.1], 5)
    assert (found.difference, found.n) == (pytest.approx(0.15), 2)
    assert (found.low, found.p) == (pytest.approx(wanted.low), pytest.approx(wanted.p))


def test_losses_without_a_common_case_have_no_test():
    assert FoldScores(2, {"a": {"0/0": {"p": 0.1}}, "b": {"0/0": {"q": 0.1}}}).test("a", "b", {}) is None
