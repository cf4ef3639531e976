import numpy as np
import pytest
from scipy import stats

from segtrain.statistics.friedman import critical_difference, friedman


def test_p_is_the_f_of_scipys_chi_square():
    values = np.random.default_rng(0).normal(loc=(0, 0.5, 0.2, 0), size=(12, 4))
    chi = stats.friedmanchisquare(*values.T).statistic
    f = (12 - 1) * chi / (12 * 3 - chi)
    assert friedman(values).p == pytest.approx(stats.f.sf(f, 3, 33))


def test_ties_are_corrected_for():
    values = np.array([[1, 1, 2], [3, 3, 3], [1, 2, 2], [0, 1, 2], [2, 2, 1]], float)
    chi = stats.friedmanchisquare(*values.T).statistic
    assert friedman(values).p == pytest.approx(stats.f.sf(4 * chi / (10 - chi), 2, 8))


def test_the_critical_difference_is_that_of_demsars_table():
    # q of 5 % for 4, 5 and 10 methods: 2.569, 2.728, 3.164 (Demsar 2006, table 5).
    for methods, q in ((4, 2.569), (5, 2.728), (10, 3.164)):
        assert critical_difference(methods, 30) == pytest.approx(q * np.sqrt(methods * (methods + 1) / 180), rel=1e-3)


def test_which_methods_are_not_told_apart():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 5)) * 0.01 + [0.9, 0.9, 0.5, 0.5, 0.1]
    found = friedman(values)
    assert found.p < 1e-9
    assert [set(group) for group in found.groups] == [{0, 1}, {2, 3}]
    assert found.mean_ranks[4] == 5


def test_groups_may_overlap():
    # Mean ranks 1.5, 2, 2.5 over few patients: all within one critical difference.
    values = np.array([[3, 2, 1], [2, 3, 1], [3, 1, 2], [2, 1, 3]], float)
    assert [sorted(group) for group in friedman(values).groups] == [[0, 1, 2]]


def test_lower_may_be_better():
    values = np.random.default_rng(2).normal(size=(9, 3))
    assert friedman(-values, higher_is_better=False) == friedman(values)


def test_methods_that_are_all_alike():
    found = friedman(np.ones((8, 3)))
    assert (found.p, found.mean_ranks) == (1.0, (2.0, 2.0, 2.0))


def test_patients_that_all_agree():
    assert friedman(np.tile([3.0, 2.0, 1.0], (10, 1))).p == 0


@pytest.mark.parametrize("shape", [(1, 4), (9, 2), (0, 5)])
def test_too_few_to_ask(shape):
    assert friedman(np.zeros(shape)) is None
