"""Which cases train and which judge: by patient, from a seed, and written to a file.

All cases of a patient are on one side. The draw depends on the seed and the names of the patients alone: not on
the order of listing, and for one patient not on which others there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtrain.core.case import Case
from segtrain.core.errors import DataError, Problem, raise_all
from segtrain.core.files import read_json, write_json
from segtrain.core.seeds import key_of
from segtrain.core.words import count

SCHEMA_VERSION = 1
SHOWN_CASES = 8
FIX_PATIENTS = "data.patient_from says how a patient is found in a case id; add patients if there are too few"


@dataclass(frozen=True)
class Fold:
    """Case ids, sorted."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """One or several ways to divide the cases."""

    folds: tuple[Fold, ...]
    seed: int

    def write(self, path: Path) -> None:
        """Write as JSON. Raises ResourceError."""
        folds = [{"train": list(f.train), "validation": list(f.validation)} for f in self.folds]
        write_json(path, {"schema_version": SCHEMA_VERSION, "seed": self.seed, "folds": folds})

    @classmethod
    def read(cls, path: Path) -> Splits:
        """The inverse of `write`. Raises DataError for a file that is not such a split."""
        try:
            value = read_json(path)
            if value["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"its schema_version is {value['schema_version']}, not {SCHEMA_VERSION}")
            return cls(tuple(_fold(f) for f in value["folds"]), int(value["seed"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            hint = "restore the file from a copy, or start a new run"
            raise DataError(Problem("a split cannot be read", str(path), why, hint)) from error


def split_share(cases: Sequence[Case], share: float, seed: int) -> Splits:
    """One fold with about `share` of the cases in validation, and at least one patient on each side.

    Raises DataError for fewer than two patients.
    """
    patients = _patients(cases, at_least=2)
    order = _shuffled(patients, seed)
    wanted = share * len(cases)
    validation = [order[0]]
    for patient in order[1:]:
        size = sum(len(patients[p]) for p in validation)
        nearer = abs(size + len(patients[patient]) - wanted) < abs(size - wanted)
        if nearer and len(validation) < len(patients) - 1:
            validation.append(patient)
    return Splits((_divide(patients, validation),), seed)


def split_folds(cases: Sequence[Case], folds: int, seed: int) -> Splits:
    """Cross-validation: every case is in the validation of one fold, and folds are about equally large.

    Raises DataError for fewer patients than folds.
    """
    patients = _patients(cases, at_least=max(2, folds))
    members: list[list[str]] = [[] for _ in range(folds)]
    for patient in sorted(_shuffled(patients, seed), key=lambda p: -len(patients[p])):
        smallest = min(members, key=lambda fold: sum(len(patients[p]) for p in fold))
        smallest.append(patient)
    return Splits(tuple(_divide(patients, fold) for fold in members), seed)


def check_covers(splits: Splits, cases: Sequence[Case]) -> None:
    """Whether a stored split is about these cases, and keeps patients apart. Raises DataError with all faults."""
    patient_of = {case.id: case.patient for case in cases}
    problems = []
    hint = "start a new run, or bring the data back as they were when the run began"
    for number, fold in enumerate(splits.folds):
        ids = {*fold.train, *fold.validation}
        if gone := sorted(ids - set(patient_of)):
            problems.append(
                Problem("the split names cases that are not in the data", f"fold {number}", _some(gone), hint)
            )
        if new := sorted(set(patient_of) - ids):
            problems.append(
                Problem("the data hold cases that are not in the split", f"fold {number}", _some(new), hint)
            )
        if both := _on_both_sides(fold, patient_of):
            problems.append(Problem("one patient is in training and in validation", f"fold {number}", both, hint))
    raise_all(DataError, problems)


def _fold(value: Any) -> Fold:
    train, validation = (tuple(str(i) for i in value[side]) for side in ("train", "validation"))
    if both := sorted(set(train) & set(validation)):
        raise ValueError(f"in training and in validation: {_some(both)}")
    return Fold(train, validation)


def _patients(cases: Sequence[Case], at_least: int) -> dict[str, list[str]]:
    """Patient -> its case ids."""
    patients: dict[str, list[str]] = {}
    for case in sorted(cases, key=lambda c: c.id):
        patients.setdefault(case.patient, []).append(case.id)
    if len(patients) < at_least:
        there = f"{count(len(cases), 'case')} of {count(len(patients), 'patient')}"
        why = f"{there}; at least {count(at_least, 'patient')} are needed: a patient is never divided"
        raise DataError(Problem("there are too few patients to divide the data", why=why, hint=FIX_PATIENTS))
    return patients


def _shuffled(patients: Iterable[str], seed: int) -> list[str]:
    return sorted(patients, key=lambda p: (key_of(seed, "split", p), p))


def _divide(patients: Mapping[str, list[str]], validation: Iterable[str]) -> Fold:
    chosen = set(validation)
    sides: tuple[list[str], list[str]] = ([], [])
    for patient, ids in patients.items():
        sides[patient in chosen].extend(ids)
    return Fold(tuple(sorted(sides[0])), tuple(sorted(sides[1])))


def _on_both_sides(fold: Fold, patient_of: Mapping[str, str]) -> str:
    """Pairs of cases, of one patient, that the fold divides."""
    judged = {patient_of[i]: i for i in fold.validation if i in patient_of}
    pairs = [f"{i} and {judged[patient_of[i]]}" for i in fold.train if patient_of.get(i) in judged]
    return _some(pairs)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_CASES} more" if len(names) > SHOWN_CASES else ""
    return ", ".join(names[:SHOWN_CASES]) + more
