"""A CSV of cases: `case,image[,image2...],label[,patient]`, the answer to every layout that no other one describes.

Read as people write it: with a comma, a semicolon or a tab, with or without a byte order mark. A person who writes
such a table says where files are, so that its paths may lead anywhere; they are relative to the table.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.file_names import is_kept_by_windows
from segtrain.core.files import write_text
from segtrain.core.words import count
from segtrain.data.faults import Faults
from segtrain.data.layouts.listing import Found, FoundCase, is_there, mask_at, named_in, scan_at
from segtrain.data.settings import DataSettings

DELIMITERS = (",", ";", "\t")
IMAGE = re.compile(r"image([2-9]|[1-9]\d+)?")
PLAIN = ("case", "label", "patient")
KNOWN = (*PLAIN, "image")
FIX_HEADER = "the first line is case,image,label or case,image,image2,label,patient"
CASE_ID = re.compile(r"[^/\\:*?\"<>|\x00-\x1f.][^/\\:*?\"<>|\x00-\x1f]*")
LONGEST_BYTES = 200


@dataclass(frozen=True)
class Row:
    """A line of the table: its number in the file, and its cells by column, stripped."""

    line: int
    cells: Mapping[str, str]


def table_cases(settings: DataSettings, faults: Faults) -> dict[str, FoundCase] | None:
    """Cases by id, with a label where the column is there and its cell is not empty; None without a usable table.

    Faults have the number of their line, and go under their case.
    """
    if settings.table is None:
        raise ConfigError(Problem("data.table is not set", "data.table", hint="set it to the CSV of the cases"))
    rows = read_table(settings.table, faults.of())
    if rows is None:
        return None
    columns, names = len(image_columns(rows[0].cells)), settings.channel_names
    if columns not in (1, len(names)):
        what = f"the table has {columns} image columns, and data.channels {len(names)} names ({', '.join(names)})"
        hint = "data.channels names the columns image, image2 ... in their order"
        faults.of().append(Problem(what, str(settings.table), hint=hint))
    cases: dict[str, FoundCase] = {}
    for row in rows:
        name = row.cells["case"]
        problems = faults.of(name or f"line {row.line}")
        known = len(problems)
        if name in cases:
            problems.append(_problem(settings.table, row, f"case {name} is there twice", hint="a case has one line"))
        elif not is_case_id(name):
            hint = "a case id names files: letters, digits and _ - . are good"
            problems.append(_problem(settings.table, row, f"{name!r} is no case id", hint=hint))
        found = _scans_of(row, settings.table, problems)
        if len(problems) == known:
            cases[name] = found
    return cases


def is_case_id(name: str) -> bool:
    """Whether a case id may name files, on every system."""
    fits = len(name.encode(errors="surrogateescape")) <= LONGEST_BYTES
    return fits and CASE_ID.fullmatch(name) is not None and not is_kept_by_windows(name)


def read_table(path: Path, problems: list[Problem]) -> list[Row] | None:
    """Its rows, in order; None where it is no such table, which goes to `problems`."""
    read = _read(path, problems)
    if read is None:
        return None
    names, lines = read
    wrong = _header_fault(names, path)
    if wrong is None and not lines:
        wrong = Problem("the table has no case", str(path), hint="one line a case, below the header")
    if wrong is not None:
        problems.append(wrong)
        return None
    return _rows(names, lines, path, problems) or None


def read_rows(path: Path, problems: list[Problem]) -> tuple[list[str], list[Row]]:
    """The names of the columns and the rows, whatever they are called; both empty where the table cannot be read."""
    names, lines = _read(path, problems) or ([], [])
    return names, _rows(names, lines, path, problems)


def is_usual(names: Iterable[str]) -> bool:
    """Whether a table with these columns is one of cases."""
    return _header_fault(list(names), Path()) is None


def place_of(path: Path, cell: str) -> Path:
    """What a cell of the table at `path` names."""
    return Path(os.path.normpath(path.parent.resolve() / _from_home(cell)))


def _read(path: Path, problems: list[Problem]) -> tuple[list[str], list[tuple[int, list[str]]]] | None:
    """The names of the columns in lower case, and the lines that hold anything, with their numbers."""
    text = _text(path, problems)
    if text is None:
        return None
    first = next(iter(text.splitlines()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count))
    try:
        header, *lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader] or [(0, [])]
    except csv.Error as error:
        problems.append(Problem("the table cannot be read", str(path), f"line {reader.line_num}: {error}"))
        return None
    return [name.lower() for name in header[1]], [(number, cells) for number, cells in lines if any(cells)]


def _rows(names: list[str], lines: list[tuple[int, list[str]]], path: Path, problems: list[Problem]) -> list[Row]:
    for number, cells in lines:
        if len(cells) != len(names):
            what = f"the line has {count(len(cells), 'cell')}, the header {len(names)}"
            problems.append(Problem(what, f"{path}, line {number}", hint="put a cell with a comma into quotes"))
    return [Row(n, dict(zip(names, cells, strict=True))) for n, cells in lines if len(cells) == len(names)]


def image_columns(names: Iterable[str]) -> list[str]:
    """Those that hold images, in the order of their numbers."""
    return sorted((name for name in names if IMAGE.fullmatch(name)), key=_number)


def _number(name: str) -> int:
    """Of a column of images."""
    return int(name.removeprefix("image") or 1)


def write_table(path: Path, cases: Mapping[str, FoundCase]) -> None:
    """Write a table of these cases, with paths relative to it where they lie beside it. Raises ResourceError."""
    channels = max(len(case.images) for case in cases.values())
    patients = any(case.patient for case in cases.values())
    header = ["case", "image", *(f"image{n}" for n in range(2, channels + 1)), "label"]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([*header, *(["patient"] if patients else [])])
    for name, case in sorted(cases.items()):
        scans = [*case.images, *([case.label] if case.label else [])]
        paths = [_relative(scan.path, path.parent) for scan in scans]
        writer.writerow([name, *paths, *([] if case.label else [""]), *([case.patient] if patients else [])])
    write_text(path, lines.getvalue())


def _relative(path: Path, folder: Path) -> str:
    """Where the folders lie, but the name of a link, not of the file behind it, which may have no suffix."""
    path, folder = path.parent.resolve() / path.name, folder.resolve()
    if path.anchor != folder.anchor:
        return str(path)
    return Path(os.path.relpath(path, folder)).as_posix()


def _text(path: Path, problems: list[Problem]) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem("the table is not UTF-8 text", str(path), hint="save it as CSV UTF-8"))
    except OSError as error:
        hint = "check data.table; paths in a config are relative to the config"
        problems.append(Problem("the table cannot be read", str(path), error.strerror or str(error), hint))
    return None


def _header_fault(names: Sequence[str], path: Path) -> Problem | None:
    """Everything that is wrong with the names of the columns, in one; None where they are those of a table of cases."""
    unknown = [name for name in dict.fromkeys(names) if name not in PLAIN and not IMAGE.fullmatch(name)]
    missing = [name for name in ("case", "image") if name not in names]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    found = image_columns(dict.fromkeys(names))
    has_gaps = "image" in names and [_number(name) for name in found] != list(range(1, len(found) + 1))
    wrong = {"no column": missing, "unknown": unknown, "twice": twice, "image columns with gaps": found * has_gaps}
    told = [f"{what}: {', '.join(map(repr, those))}" for what, those in wrong.items() if those]
    if not told:
        return None
    why = f"it has {', '.join(name or repr(name) for name in names) or 'none'}; {'; '.join(told)}"
    near = [difflib.get_close_matches(name, KNOWN, n=1) for name in unknown]
    meant = "".join(f"did you mean {match[0]!r}? " for match in near if match)
    hint = f"{meant}{FIX_HEADER}; `segtrain init {shlex.quote(str(path))}` finds out which column is which"
    return Problem("the columns are not those of a table of cases", f"{path}, line 1", why, hint)


def _scans_of(row: Row, path: Path, problems: list[Problem]) -> FoundCase:
    """The scans of a line; what is missing or empty goes to `problems`."""
    images = [_scan(row, name, path, problems) for name in image_columns(row.cells)]
    label = _scan(row, "label", path, problems) if row.cells.get("label") else None
    patients = named_in([*images, label])
    patient = row.cells.get("patient", min(patients, default=""))
    if row.cells.get("patient") == "":
        problems.append(_problem(path, row, "the cell of patient is empty", hint="name the patient of every case"))
    return FoundCase(tuple(s.source for s in images if s), label.source if label else None, patient, patients)


def _scan(row: Row, column: str, path: Path, problems: list[Problem]) -> Found | None:
    cell = row.cells[column]
    if not cell:
        problems.append(_problem(path, row, f"the cell of {column} is empty"))
        return None
    place = place_of(path, cell)
    if not is_there(place):
        hint = "paths in the table are relative to it"
        problems.append(_problem(path, row, f"there is no {column} {cell}", f"it would be {place}", hint))
        return None
    before = len(problems)
    found = (mask_at if column == "label" else scan_at)(place, problems)
    if found is None and len(problems) == before:
        problems.append(_problem(path, row, f"no reader knows the {column} {cell}", hint="convert it to .nii.gz"))
    return found


def _from_home(cell: str) -> Path:
    try:
        return Path(cell).expanduser()
    except RuntimeError:  # nobody here is called so
        return Path(cell)


def _problem(path: Path, row: Row, what: str, why: str = "", hint: str = "") -> Problem:
    return Problem(what, f"{path}, line {row.line}", why, hint)
