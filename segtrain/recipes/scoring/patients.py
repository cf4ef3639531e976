"""Whose the scored cases are: intervals are over patients, and not over the scans of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from segtrain.core.case import Case
from segtrain.data.patients import patients_by
from segtrain.metrics.settings import EvaluationSettings

KEY = "evaluation.patient_from"


def patients_of(cases: Iterable[str], evaluation: EvaluationSettings) -> dict[str, str]:
    """Case -> patient by `evaluation.patient_from`; without it each case is a patient of its own.

    Raises ConfigError where it is no regular expression, DataError with every case id that tells no patient.
    """
    if evaluation.patient_from is None:
        return {case: case for case in cases}
    return patients_by(evaluation.patient_from, cases, KEY)


def by_patient(cases: tuple[Case, ...], evaluation: EvaluationSettings) -> tuple[Case, ...]:
    """The cases with their patients by `evaluation.patient_from`; without it as they are. Raises as `patients_of`."""
    if evaluation.patient_from is None:
        return cases
    patients = patients_of((case.id for case in cases), evaluation)
    return tuple(replace(case, patient=patients[case.id]) for case in cases)
