import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from segtrain.statistics.paired import (
    Paired,
    compare_pair,
    holm,
    patient_differences,
    patients_needed,
    rank_biserial,
    share_larger,
    student_interval,
    wilcoxon_p,
)


def pair(a, b, patients=None, seed=0):
    cases = [f"c{i}" for i in range(len(a))]
    owner = dict(zip(cases, patients or cases, strict=True))
    return compare_pair(dict(zip(cases, a, strict=True)), dict(zip(cases, b, strict=True)), owner, seed)


class TestWilcoxon:
    @pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 10, 30])
    def test_untied_differences_as_scipy_counts_them(self, n):
        gaps = np.random.default_rng(n).normal(0.3, 1, n)
        assert wilcoxon_p(gaps) == pytest.approx(stats.wilcoxon(gaps, method="exact").pvalue)

    def test_tied_differences_against_all_sign_patterns(self):
        gaps = np.array([1, 1, 2, -2, 2, 3, -1, 0], float)
        ranks = stats.rankdata(np.abs(gaps[gaps != 0]))
        signs = (np.arange(2**7)[:, None] >> np.arange(7)) & 1
        sums = signs @ ranks
        seen = ranks[gaps[gaps != 0] > 0].sum()
        expected = min(1, 2 * min((sums <= seen).mean(), (sums >= seen).mean()))
        assert wilcoxon_p(gaps) == pytest.approx(expected)

    def test_the_smallest_p_of_five_and_of_six(self):
        assert wilcoxon_p(np.arange(1.0, 6)) == 0.0625
        assert wilcoxon_p(np.arange(1.0, 7)) == 0.03125

    def test_no_difference_at_all(self):
        assert wilcoxon_p(np.zeros(8)) == wilcoxon_p(np.zeros(0)) == 1.0

    def test_many_patients_use_the_normal_approximation(self):
        gaps = np.random.default_rng(0).normal(0.1, 1, 400)
        assert wilcoxon_p(gaps) == pytest.approx(stats.wilcoxon(gaps).pvalue, rel=1e-6)
        assert wilcoxon_p(gaps[:200]) == pytest.approx(stats.wilcoxon(gaps[:200], method="asymptotic").pvalue, rel=0.02)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.5]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_effects_by_hand():
    gaps = np.array([1.0, 2, 3, -4, 0])
    assert rank_biserial(gaps) == pytest.approx((1 + 2 + 3 - 4) / 10)
    assert share_larger(gaps) == pytest.approx((3 + 0.5) / 5)
    assert rank_biserial(np.zeros(3)) == 0
    assert share_larger(np.zeros(3)) == 0.5


def test_cases_of_a_patient_are_averaged_first():
    gaps = patient_differences([0.9, 0.7, 0.5], [0.5, 0.5, 0.6], ["Q", "Q", "P"])
    assert gaps == pytest.approx([-0.1, 0.3])
    assert patient_differences([0.1 + 0.2], [0.3], ["P"]).tolist() == [0.0]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_patients_give_numbers_and_no_warning(n):
    found = pair([0.5 + 0.1 * i for i in range(n)], [0.4] * n)
    assert found.n_patients == found.n_cases == n
    assert found.difference is not None
    assert (found.low is None) == (n == 1)
    assert 0 <= found.p <= 1


def test_no_patient_has_no_numbers():
    assert pair([], []) == Paired(None, None, None, None, None, None, 0, 0)


def test_a_method_against_itself():
    found = pair([0.5, 0.6, 0.7, 0.8, 0.7, 0.6], [0.5, 0.6, 0.7, 0.8, 0.7, 0.6])
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.effect, found.p_larger) == (0, 0.5)


def test_cases_that_one_lacks_do_not_count():
    found = compare_pair({"a": 1.0, "b": 0.5}, {"b": 0.25, "c": 0.0}, {"a": "P", "b": "Q", "c": "R"}, 0)
    assert (found.difference, found.n_cases) == (0.25, 1)


def test_patients_needed_by_hand():
    differences = [0.0, 0.02] * 20
    sd = np.std(differences, ddof=1)
    assert patients_needed(differences, 0.004, 0.05) == int(np.ceil((2.8016 * sd / 0.004) ** 2))
    nine_tests = stats.norm.ppf(1 - 0.05 / 18) + stats.norm.ppf(0.8)
    assert patients_needed(differences, 0.004, 0.05 / 9) == int(np.ceil((nine_tests * sd / 0.004) ** 2))
    assert patients_needed([0.1], 0.01, 0.05) is None


def test_no_fewer_patients_are_asked_for_than_the_test_needs():
    """Five cannot reach p < 0.05, and nine not p < 0.05 / 9."""
    assert patients_needed([0.1, 0.1], 0.01, 0.05) == 6
    assert patients_needed([0.1, 0.1], 0.01, 0.05 / 9) == 9


def test_nobody_is_asked_for_as_many_patients_as_there_are():
    assert patients_needed([0.0, 0.001] * 10, 0.01, 0.05) is None


def test_the_interval_of_student_is_scipys():
    gaps = np.array([0.01, -0.02, 0.03, 0.005])
    wanted = stats.t.interval(0.95, 3, loc=gaps.mean(), scale=stats.sem(gaps))
    assert student_interval(gaps) == pytest.approx(wanted)
    assert student_interval(gaps[:1]) == (None, None)


def test_holm_over_a_family_of_which_some_are_still_to_come():
    assert holm([0.01, None, 0.02], family=10) == [pytest.approx(0.1), None, pytest.approx(0.18)]


def test_without_a_worth_no_number_of_patients_shows_it():
    assert patients_needed([0.1, 0.2, 0.3], None, 0.05) is None


def test_scipy_stats_is_loaded_only_where_something_is_tested():
    """A training imports this room for its report and would wait a second for it."""
    code = "import sys, segtrain.statistics.comparison; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
