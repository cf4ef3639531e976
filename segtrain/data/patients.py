"""Whose a case is, where its id tells: by a regular expression that a setting has."""

from __future__ import annotations

import re
from collections.abc import Iterable

from segtrain.core.errors import ConfigError, DataError, Problem, raise_all


def patient_in(case: str, pattern: str, key: str) -> str | None:
    """The first group of `pattern` in a case id, or the whole match; None where there is none, or it is empty.

    `key` is the setting that has the pattern. Raises ConfigError where that is no regular expression.
    """
    try:
        match = re.search(pattern, case)
    except re.error as error:
        hint = 'for example "(P\\d+)_"'
        raise ConfigError(Problem(f"{key} is no regular expression", key, str(error), hint)) from error
    return (match and (match[1] if match.re.groups else match[0])) or None


def unnamed_patient(case: str, pattern: str, key: str) -> Problem:
    """That the id of a case tells no patient."""
    return Problem(f"no patient can be found in the case id {case}", why=f"{key} is {pattern!r}")


def patients_by(pattern: str, cases: Iterable[str], key: str) -> dict[str, str]:
    """Case -> patient, of ids that all must tell one. DataError with every id that does not; ConfigError as above."""
    found = {case: patient_in(case, pattern, key) for case in cases}
    raise_all(DataError, (unnamed_patient(case, pattern, key) for case, patient in found.items() if patient is None))
    return {case: patient for case, patient in found.items() if patient is not None}
