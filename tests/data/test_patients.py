import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.data.patients import patient_in, patients_by

KEY = "data.patient_from"


@pytest.mark.parametrize(
    ("pattern", "patient"), [(r"(P\d+)_", "P12"), (r"P\d+", "P12"), ("Q", None), ("x*", None), ("(Q)?P", None)]
)
def test_the_first_group_or_the_whole_match_is_the_patient(pattern, patient):
    assert patient_in("P12_t0", pattern, KEY) == patient


def test_what_is_no_regular_expression_is_told_by_its_setting():
    with pytest.raises(ConfigError, match=r"data\.patient_from is no regular expression"):
        patient_in("P12_t0", "(P", KEY)


def test_every_case_that_tells_no_patient_is_named():
    assert patients_by("^(.)", ["a1", "a2", "b1"], KEY) == {"a1": "a", "a2": "a", "b1": "b"}
    with pytest.raises(DataError) as caught:
        patients_by(r"(P\d)", ["P1_a", "x", "y"], KEY)
    assert [problem.what[-1] for problem in caught.value.problems] == ["x", "y"]
    assert caught.value.problems[0].why == r"data.patient_from is '(P\\d)'"
