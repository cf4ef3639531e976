"""A tree of DICOM series -> cases: which folder is a case, which of its series is which channel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, Problem, UnreadableScan
from segtrain.data.dicom.headers import looks_like_dicom, read_folder
from segtrain.data.dicom.records import Drawing, Series
from segtrain.data.faults import Faults
from segtrain.data.files.formats import SUFFIXES, VOLUMES, format_of, suffix_of
from segtrain.data.layouts.listing import FoundCase
from segtrain.data.settings import DataSettings

INDEX_OF_DISC = "DICOMDIR"
"""A file that lists what is on a disc; it has the mark of DICOM and is no scan."""
MOST_OPENED = 256
"""Of files outside the cases whose name tells nothing, so many are opened at most, before every fit: on a network share
each may take milliseconds. One slice of a series is enough to tell that something lies there."""


@dataclass(frozen=True)
class Candidate:
    """A series or a file of a mask below the folder of a case, with the names that a pattern may match."""

    source: ScanSource
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outside:
    """What lies below the root of a tree in no folder of a case."""

    scans: tuple[Path, ...]
    """Files that look like scans, by path."""
    unopened: int
    """Further files whose name tells nothing, and that were not looked into."""


def tree_cases(settings: DataSettings, root: Path, faults: Faults) -> dict[str, FoundCase] | None:
    """Cases by id, the patient a pseudonym of PatientID; None where the tree holds none.

    Faults go under their case; a wrong glob is a ConfigError.
    """
    folders = _case_folders(settings, root, faults.of())
    cases: dict[str, FoundCase] = {}
    seen: dict[str, Path] = {}
    for folder in folders:
        name = "_".join(folder.relative_to(root).parts)
        if name in seen:
            why = f"{seen[name].relative_to(root)} and {folder.relative_to(root)}"
            what, hint = f"two folders would be case {name}", "rename one of them"
            faults.of(name).append(Problem(what, str(root), why, hint))
            continue
        seen[name] = folder
        case = _case_in(folder, settings, faults.of(name))
        if case is not None:
            cases[name] = case
    return cases if folders else None


def scans_outside(settings: DataSettings, root: Path) -> Outside:
    """What lies below root in no folder of a case: the folders between are listed, those of cases are not.

    The names of files tell; where one does not, the mark of DICOM in the first `MOST_OPENED` of them. Nothing else is
    read, and links are not followed.
    """
    apart = {*_case_folders(settings, root, []), *([settings.labels] if settings.labels else [])}
    found: list[Path] = []
    unknown: list[Path] = []
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(place, name) not in apart)
        for name in sorted(files):
            kind = SUFFIXES.get(suffix_of(path := Path(place, name)))
            if name.startswith(".") or name.upper() == INDEX_OF_DISC or kind == "picture":
                continue
            (unknown if kind is None else found).append(path)
    found += filter(_has_mark, unknown[:MOST_OPENED])
    return Outside(tuple(sorted(found)), len(unknown[MOST_OPENED:]))


def _has_mark(path: Path) -> bool:
    """Whether a file is one of DICOM; of what cannot be opened nothing is known."""
    try:
        return path.is_file() and looks_like_dicom(path)
    except OSError:
        return False


def _case_folders(settings: DataSettings, root: Path, problems: list[Problem]) -> list[Path]:
    if not root.is_dir():
        problems.append(Problem("there is no such folder", str(root), hint="check data.root"))
        return []
    pattern, parts = settings.case, Path(settings.case.strip()).parts
    mixed = any("**" in part and part != "**" for part in parts)
    if not parts or mixed or Path(pattern).is_absolute() or ".." in parts:
        hint = 'for example "*/*" for patient/date; it stays below data.root'
        raise ConfigError(Problem(f"data.case is {pattern!r}, which is no pattern of folders", "data.case", hint=hint))
    folders = (p for p in root.glob(pattern) if p.is_dir() and p != root)
    found = sorted(p for p in folders if not any(part.startswith(".") for part in p.relative_to(root).parts))
    if not found:
        why = f"no folder below it matches data.case: {pattern!r}"
        problems.append(
            Problem("the DICOM tree holds no case", str(root), why, 'set data.case, as "*/*" for patient/date')
        )
    return found


def _case_in(folder: Path, settings: DataSettings, problems: list[Problem]) -> FoundCase | None:
    """One series for each channel, and one for the label where a pattern is given."""
    try:
        content = read_folder(folder)
    except UnreadableScan as error:
        problems.extend(error.problems)
        return None
    series = content.series()
    before = len(problems)
    patterns = dict(settings.channels) if isinstance(settings.channels, dict) else {}
    scans = scans_among(series)
    images = [pick(folder, f"channel {name}", pattern, scans, problems) for name, pattern in patterns.items()]
    label = None
    if settings.label is not None:
        label = pick(folder, "label", settings.label, [*scans, *masks_in(folder, content.drawings)], problems)
    chosen = {*images, label}
    own = {s.patient_id for s in series if ScanSource(folder_of(s), s.uid) in chosen}
    own |= {d.patient_id for d in content.drawings if ScanSource(d.path) in chosen and d.patient_id}
    patients = sorted(own)
    if len(patients) > 1:
        why = f"their PatientIDs differ (shown as {', '.join(p or 'none' for p in patients)})"
        hint = "give each patient a folder of his own, or say in data.case how deep in the tree a case lies"
        problems.append(Problem("a case holds series of several patients", str(folder), why, hint))
    if len(problems) > before:
        return None
    patient = patients[0] if patients else ""
    return FoundCase(tuple(image for image in images if image), label, patient, frozenset(patients) - {""})


def scans_among(series: Sequence[Series]) -> list[Candidate]:
    """Series as what a pattern may match."""
    return [Candidate(ScanSource(folder_of(s), s.uid), (s.folder.name, s.description)) for s in series]


def masks_in(folder: Path, drawings: Sequence[Drawing] = ()) -> list[Candidate]:
    """Files in a folder and below that are a mask, if anything, and no series; and the DICOM SEG and RTSTRUCT there."""
    files = [path for path in sorted(folder.rglob("*")) if format_of(path) in VOLUMES]
    return [Candidate(ScanSource(path), (path.name,)) for path in files] + [
        Candidate(ScanSource(d.path), (d.path.name, d.path.parent.name, d.description)) for d in drawings
    ]


def folder_of(series: Series) -> Path:
    """The deepest folder that holds all files of a series."""
    folder = series.folder
    while not all(path.is_relative_to(folder) for path in series.files):
        folder = folder.parent
    return folder


def pick(
    folder: Path, role: str, pattern: str, candidates: Sequence[Candidate], problems: list[Problem]
) -> ScanSource | None:
    """The only candidate one of whose names matches, whatever its upper and lower case."""
    matches = [c for c in candidates if any(fnmatchcase(n.lower(), pattern.lower()) for n in c.names if n)]
    if len(matches) == 1:
        return matches[0].source
    shown = ", ".join(" = ".join(dict.fromkeys(n for n in c.names if n)) for c in (matches or candidates)[:8])
    if matches:
        why, hint = f"{pattern!r} matches {shown}", "make the pattern narrower"
        problems.append(Problem(f"{len(matches)} series could be the {role}", str(folder), why, hint))
    else:
        why, hint = (
            f"{pattern!r} matches none of: {shown or 'nothing is there'}",
            "patterns match folder or description",
        )
        problems.append(Problem(f"no series is the {role}", str(folder), why, hint))
    return None
