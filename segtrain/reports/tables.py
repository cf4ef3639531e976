"""Scores <-> `cases.csv`, the long table that every other number of a report can be traced to.

One row per case, label and metric: `case,patient,label,metric,value,status`. The two volumes are rows as well,
`reference_ml` and `prediction_ml`, and where a value is infinite, `diagonal_mm`, which stands in for it in means. An
undefined value is an empty field; its status says why. Numbers are written with all their digits, lines end in `\\n`,
and a file is either whole or not there.

Case names come from outside, and a spreadsheet runs a field that begins with `=`, `+`, `-` or `@` as a formula. Such
a text gets a leading apostrophe (OWASP's advice), unless it is a plain number; `read_cases_csv` takes it off again, so
that no name is lost. Other readers see the apostrophe: better a visible mark than a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import get_args

from segtrain.core.errors import DataError, Problem
from segtrain.core.files import write_text
from segtrain.core.scores import CaseScores, Score, Status

HEADER = ("case", "patient", "label", "metric", "value", "status")
VOLUMES = ("reference_ml", "prediction_ml")
STAND_IN = "diagonal_mm"

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that a spreadsheet takes for a formula."""

Cell = str | int | float | None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table; None is an empty field, a float has all its digits, a text is no formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_text(cell) for cell in row] for row in rows)
    write_text(path, buffer.getvalue())


def write_cases_csv(path: Path, scores: Iterable[CaseScores]) -> None:
    """Write the long table, in the order of the cases given."""
    write_csv(path, HEADER, (row for case in scores for row in _rows(case)))


def read_cases_csv(path: Path) -> list[CaseScores]:
    """The inverse of `write_cases_csv`. Raises DataError, naming the line, for any other table."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(Problem(f"cannot read {path}", why=str(error))) from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    drafts: dict[str, _Draft] = {}
    try:
        if tuple(next(lines, ())) != HEADER:
            raise ValueError(f"the columns are not {','.join(HEADER)}")
        for row in lines:
            case, patient, label, metric, value, status = (unguarded(cell) for cell in row)
            drafts.setdefault(case, _Draft(case, patient)).add(label, metric, value, status)
    except (ValueError, csv.Error) as error:
        raise DataError(Problem(f"{path} is not a table of scores", f"line {lines.line_num}", str(error))) from error
    return [draft.scores() for draft in drafts.values()]


def labels_of(case: CaseScores) -> list[str]:
    """Every label that has a score or a volume, in order."""
    return list(dict.fromkeys((*case.scores, *case.reference_ml, *case.prediction_ml)))


def status_in(case: CaseScores, label: str) -> Status:
    """Which masks hold the label: by its scores, or by its volumes where there is no score."""
    for found in case.scores.get(label, {}).values():
        return found.status
    reference, prediction = case.reference_ml.get(label), case.prediction_ml.get(label, 0.0)
    if reference is None or reference > 0:
        return "ok" if prediction else "pred_empty"
    return "ref_empty" if prediction else "both_empty"


def guarded(text: str) -> str:
    """`text` with an apostrophe before what a spreadsheet would run."""
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def unguarded(text: str) -> str:
    """The inverse of `guarded`."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    if not text.startswith(FORMULA_STARTS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return guarded(cell)
    return repr(float(cell)) if isinstance(cell, float) else str(cell)


def _rows(case: CaseScores) -> Iterator[tuple[Cell, ...]]:
    for label in labels_of(case):
        for metric, found in case.scores.get(label, {}).items():
            yield case.case, case.patient, label, metric, found.value, found.status
        stand_in = next((f.stand_in for f in case.scores.get(label, {}).values() if f.stand_in is not None), None)
        if stand_in is not None:
            yield case.case, case.patient, label, STAND_IN, stand_in, status_in(case, label)
        for name in VOLUMES:
            volumes = getattr(case, name)
            if label in volumes:
                yield case.case, case.patient, label, name, volumes[label], status_in(case, label)


@dataclass
class _Draft:
    """A case while its rows are read."""

    case: str
    patient: str
    values: dict[str, dict[str, Score]] = field(default_factory=dict)
    volumes: dict[str, dict[str, float]] = field(default_factory=lambda: {name: {} for name in (*VOLUMES, STAND_IN)})

    def add(self, label: str, metric: str, value: str, status: str) -> None:
        if status not in get_args(Status):
            raise ValueError(f"{status!r} is not a status")
        if metric in self.volumes:
            self.volumes[metric][label] = float(value)
            return
        known: Status = next(s for s in get_args(Status) if s == status)
        self.values.setdefault(label, {})[metric] = Score(float(value) if value else None, known)

    def scores(self) -> CaseScores:
        """The case; an infinite value has what stands in for it."""
        stand_ins = self.volumes[STAND_IN]
        values = {
            label: {m: replace(s, stand_in=stand_ins.get(label)) if s.value == inf else s for m, s in found.items()}
            for label, found in self.values.items()
        }
        return CaseScores(self.case, self.patient, values, *(self.volumes[name] for name in VOLUMES))
