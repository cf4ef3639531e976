from pathlib import Path

import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.scoring.patients import by_patient, patients_of

BY_NAME = EvaluationSettings(patient_from=r"(P\d+)_")
CASES = tuple(Case(name, "known", (ScanSource(Path(name)),)) for name in ("P1_a", "P1_b", "P2_a"))


def test_names_tell_patients_where_a_setting_says_how():
    assert patients_of(["P1_a", "P1_b", "P2_a"], BY_NAME) == {"P1_a": "P1", "P1_b": "P1", "P2_a": "P2"}
    assert patients_of(["P1_a", "P1_b"], EvaluationSettings()) == {"P1_a": "P1_a", "P1_b": "P1_b"}


def test_patients_that_are_known_stay_unless_the_setting_tells_others():
    assert by_patient(CASES, EvaluationSettings()) == CASES
    found = by_patient(CASES, BY_NAME)
    assert [case.patient for case in found] == ["P1", "P1", "P2"]
    assert [(case.id, case.images) for case in found] == [(case.id, case.images) for case in CASES]


def test_an_id_that_tells_no_patient_is_refused():
    with pytest.raises(DataError, match=r"case id x\n.*evaluation\.patient_from"):
        patients_of(["P1_a", "x"], BY_NAME)
