"""A CSV whose columns somebody named in his own way: which of them is the case, the patient, the scans and the mask.

Columns of files are told by their cells, which lead to something; which of these is the mask, by its name. Columns of
ids are told by their names. Whatever was taken for what is said.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem, raise_all
from segtrain.core.words import count
from segtrain.data.files.formats import scan_name
from segtrain.data.layouts.case_table import (
    FIX_HEADER,
    Row,
    image_columns,
    is_usual,
    place_of,
    read_rows,
    read_table,
)
from segtrain.data.layouts.listing import FoundCase, is_there
from segtrain.data.layouts.naming import is_mask_word
from segtrain.data.recognise.recognised import Recognised, channel_names, some

CASES = ("case", "case_id", "caseid", "scan_id", "image_id", "id", "study", "study_id", "exam", "accession", "name")
PATIENTS = ("patient", "patient_id", "patientid", "pid", "mrn", "subject", "subject_id", "subjectid", "participant_id")
"""Names of the columns that tell a case and a patient, the likeliest first."""
PERSON = r"(?:patient|pat|pt|participant|subject|subj|sub)s?"
IDENTIFIER = r"(?:identifier|id|number|num|no|nr|index|code|name|key|uid|uuid|pseudonym|hash|mrn)"
PATIENT = re.compile(rf"{PERSON}(?:_?{IDENTIFIER})*|mrn(?:_?{IDENTIFIER})*|pid")
"""How else columns of patients are called, as patient_number; not patient_age, which people share."""
LOOKED_AT = 20
"""Rows."""


@dataclass(frozen=True)
class _Columns:
    """Which column is what; "" where none is."""

    case: str
    patient: str
    images: tuple[str, ...]
    label: str

    def said(self, names: Sequence[str]) -> list[str]:
        """What was taken, and what was not."""
        ids = {"case": self.case or self.patient or f"the name of {self.images[0]}", "patient": self.patient}
        roles = {**ids, "images" if len(self.images) > 1 else "image": some(list(self.images)), "label": self.label}
        others = [name for name in names if name and name not in (*roles.values(), *self.images)]
        taken = f"columns: {', '.join(f'{role} from {name}' for role, name in roles.items() if name)}"
        return [taken, f"columns that are not used: {some(others)}"] if others else [taken]

    def perhaps_patients(self, rows: Sequence[Row]) -> list[str]:
        """Where no column is that of the patients: which of the others may be, because rows share their values."""
        used = ("", self.case, *self.images)
        others = [name for name in rows[0].cells if name not in used and not is_mask_word(name)]
        values = {name: [row.cells[name] for row in rows if row.cells[name]] for name in others}
        distinct = {name: len({*cells}) for name, cells in values.items()}
        shared = [name for name, n in distinct.items() if 1 < n < len(values[name])]
        if self.patient or not shared:
            return []
        likeliest = some(sorted(shared, key=lambda name: -distinct[name]))
        return [f"no column is called as one of patients; rows share values of {likeliest}: call it patient if it is"]


def recognise_table(path: Path) -> Recognised:
    """A CSV of cases; with columns of its own, as rows of a table that has the usual ones.

    DataError where it is no table, or where no column leads to scans, or none to masks.
    """
    problems: list[Problem] = []
    names, rows = read_rows(path, problems)
    raise_all(DataError, problems)
    if len(set(names)) == len(names) and rows and not is_usual(names):
        return _with_own_columns(path, names, rows)
    usual = read_table(path, problems) or ()
    raise_all(DataError, problems)
    channels = image_columns(names)
    said = ("the channels are called after their columns",) if len(channels) > 1 else ()
    values = {"table": path, "channels": channels}
    return Recognised(f"a table of {count(len(usual), 'case')}", values, guesses=said, named_in=(path.parent,))


def _with_own_columns(path: Path, names: Sequence[str], rows: Sequence[Row]) -> Recognised:
    columns = _columns_of(names, rows, path)
    said = [*columns.said(names), *columns.perhaps_patients(rows)]
    ids = _ids(rows, columns, path)
    if twice := [name for name, times in Counter(ids).items() if times > 1]:
        hint = f"give each row a case of its own: {FIX_HEADER}"
        raise DataError(Problem("rows of a table would be one case", str(path), some(twice), hint))
    found, left_out = {}, []
    for name, row in zip(ids, rows, strict=True):
        images = tuple(ScanSource(place_of(path, row.cells[c])) for c in columns.images if row.cells[c])
        if len(images) < len(columns.images):
            left_out.append(f"line {row.line}")
            continue
        cell = row.cells[columns.label]
        label = ScanSource(place_of(path, cell)) if cell else None  # `check` names a case without one
        found[name] = FoundCase(images, label, row.cells.get(columns.patient, ""))
    said += [f"left out, because the cell of an image is empty: {some(left_out)}"] if left_out else []
    named = ["image"] if len(columns.images) == 1 else channel_names(list(columns.images))
    words = f"a table of {count(len(found), 'case')} with columns of its own"
    return Recognised(words, {"layout": "table", "channels": named}, found, tuple(said), named_in=(path.parent,))


def _columns_of(names: Sequence[str], rows: Sequence[Row], path: Path) -> _Columns:
    files = [name for name in names if _leads_to_files(name, rows[:LOOKED_AT], path)]
    labels = [name for name in files if is_mask_word(name)]
    scans = [name for name in files if name not in labels]
    images = tuple(name for name in scans if not _tells_ids(name)) or tuple(scans)  # P1 may be a folder beside it
    if not labels or not images:
        there = ", ".join(names)
        first = next((cell for cell in rows[0].cells.values() if os.sep in cell or "." in cell), "")
        looked = f", as {place_of(path, first)} for {first}" if first else ""
        missing = "scans" if not images else "masks (called label, mask, seg ...)"
        why = f"the columns are {there}; no column leads to {missing}{looked}"
        raise DataError(Problem("the table cannot be understood", f"{path}, line 1", why, FIX_HEADER))
    plain = {_plain(name): name for name in names if name not in (*images, *labels)}
    case = next((plain[name] for name in CASES if name in plain), "")
    wanted = (*PATIENTS, *filter(PATIENT.fullmatch, plain))
    return _Columns(case, next((plain[name] for name in wanted if name in plain), ""), images, labels[0])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name).strip("_")


def _tells_ids(name: str) -> bool:
    """Whether a column is called as one of cases or patients."""
    return _plain(name) in CASES or PATIENT.fullmatch(_plain(name)) is not None


def _leads_to_files(name: str, rows: Sequence[Row], path: Path) -> bool:
    """Whether most cells of a column are the path of something: `check` names those that are not."""
    cells = [row.cells[name] for row in rows if row.cells[name]]
    return 2 * sum(is_there(place_of(path, cell)) for cell in cells) > len(cells)


def _ids(rows: Sequence[Row], columns: _Columns, path: Path) -> list[str]:
    """A case id a row: the column of cases, or the patient with a number where he has several scans, or the file."""
    key = columns.case or columns.patient
    if not key:
        return [scan_name(place_of(path, row.cells[columns.images[0]])) for row in rows]
    names = [row.cells[key] for row in rows]
    if columns.case:
        return names
    total, before, found = Counter(names), Counter[str](), []
    for name in names:
        before[name] += 1
        found.append(f"{name}_{before[name]}" if total[name] > 1 else name)
    return found
