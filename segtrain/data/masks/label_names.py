"""Files that name label ids: one line an id, as several programs write them.

labels.tsv              id<TAB>name, with or without a header; BIDS calls the columns index and name
ITK-SNAP                1  255 0 0  1  1 1  "Liver"
FreeSurfer, .ctbl       4  Left-Lateral-Ventricle  120 18 134 0
3D Slicer, new .ctbl    LabelValue,Name,Color_R,...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ITK_SNAP = re.compile(r"\s*(-?\d+)(?:\s+[\d.]+){6}\s+\"(.*)\"\s*")
COLOUR_TABLE = re.compile(r"\s*(-?\d+)\s+(.+?)(?:\s+\d+){3,4}\s*")
ID_COLUMNS = ("index", "id", "label", "value", "labelvalue", "label_id")
NAME_COLUMNS = ("name", "label_name", "structure", "abbreviation")
PATTERNS = ("labels.tsv", "*_dseg.tsv", "dseg.tsv", "labels.txt", "*label*.txt", "*.label", "*LUT*.txt", "*.ctbl")
"""What such a file is called, the likeliest first."""
MOST_BYTES = 4_000_000


def find_names(folders: list[Path]) -> tuple[Path, Mapping[int, str]] | None:
    """The first file in these folders that names ids, and id -> name; None where there is none."""
    places = (path for folder in folders for pattern in PATTERNS for path in sorted(folder.glob(pattern)))
    for path in dict.fromkeys(places):
        if path.is_file() and (names := read_names(path)):
            return path, names
    return None


def read_names(path: Path) -> dict[int, str]:
    """Id -> name; empty where a file is none of these kinds. A name that is there twice gets its id."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    found = _from_columns(lines) if lines and ("\t" in lines[0] or _is_header(lines[0], ",")) else _from_tables(lines)
    names = list(found.values())
    return {i: f"{name}_{i}" if names.count(name) > 1 else name for i, name in found.items()}


def _is_header(line: str, delimiter: str) -> bool:
    cells = [cell.strip().lower() for cell in line.split(delimiter)]
    return any(c in ID_COLUMNS for c in cells) and any(c in NAME_COLUMNS for c in cells)


def _from_columns(lines: list[str]) -> dict[int, str]:
    delimiter = "\t" if "\t" in lines[0] else ","
    first = [cell.strip().lower() for cell in lines[0].split(delimiter)]
    number, name = 0, 1
    if _is_header(lines[0], delimiter):
        name = next(first.index(c) for c in NAME_COLUMNS if c in first)
        number = next(n for c in ID_COLUMNS for n, cell in enumerate(first) if cell == c and n != name)
        lines = lines[1:]
    found: dict[int, str] = {}
    for line in lines:
        cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
        if len(cells) <= max(number, name) or not re.fullmatch(r"-?\d+", cells[number]) or not cells[name]:
            return {}
        found[int(cells[number])] = cells[name]
    return found


def _from_tables(lines: list[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in lines:
        match = ITK_SNAP.fullmatch(line) or COLOUR_TABLE.fullmatch(line)
        if match is None:
            return {}
        found[int(match[1])] = match[2].strip('"')
    return found
