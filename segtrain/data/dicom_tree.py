"""A tree of DICOM series -> cases: which folder is a case, which of its series is which channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, Problem, UnreadableScan
from segtrain.data.dicom_headers import Series, list_series
from segtrain.data.nifti_header import is_nifti
from segtrain.data.settings import DataSettings


@dataclass(frozen=True)
class TreeCase:
    """The scans of one case; `patient` is a pseudonym of PatientID, or "" where the files name none."""

    images: tuple[ScanSource, ...]
    label: ScanSource | None
    patient: str


@dataclass(frozen=True)
class Candidate:
    """A series or a NIfTI file below the folder of a case, with the names that a pattern may match."""

    source: ScanSource
    names: tuple[str, ...]


def tree_cases(settings: DataSettings, root: Path, problems: list[Problem]) -> dict[str, TreeCase] | None:
    """Cases by id; None where the tree holds none. Faults go to `problems`; a wrong glob is a ConfigError."""
    folders = _case_folders(settings, root, problems)
    cases: dict[str, TreeCase] = {}
    seen: dict[str, Path] = {}
    for folder in folders:
        name = "_".join(folder.relative_to(root).parts)
        if name in seen:
            why = f"{seen[name].relative_to(root)} and {folder.relative_to(root)}"
            problems.append(Problem(f"two folders would be case {name}", str(root), why, "rename one of them"))
            continue
        seen[name] = folder
        case = _case_in(folder, settings, problems)
        if case is not None:
            cases[name] = case
    return cases if folders else None


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


def _case_in(folder: Path, settings: DataSettings, problems: list[Problem]) -> TreeCase | None:
    """One series for each channel, and one for the label where a pattern is given."""
    try:
        series = list_series(folder)
    except UnreadableScan as error:
        problems.extend(error.problems)
        return None
    before = len(problems)
    patterns = dict(settings.channels) if isinstance(settings.channels, dict) else {}
    scans = [Candidate(ScanSource(_folder_of(s), s.uid), (s.folder.name, s.description)) for s in series]
    images = [_pick(folder, f"channel {name}", pattern, scans, problems) for name, pattern in patterns.items()]
    label = None
    if settings.label is not None:
        masks = [Candidate(ScanSource(p), (p.name,)) for p in sorted(folder.rglob("*")) if is_nifti(p)]
        label = _pick(folder, "label", settings.label, [*scans, *masks], problems)
    chosen = {*images, label}
    patients = sorted({s.patient_id for s in series if ScanSource(_folder_of(s), s.uid) in chosen})
    if len(patients) > 1:
        why = f"their PatientIDs differ (shown as {', '.join(p or 'none' for p in patients)})"
        problems.append(Problem("a case holds series of several patients", str(folder), why, "check the folder"))
    if len(problems) > before:
        return None
    return TreeCase(tuple(image for image in images if image), label, patients[0] if patients else "")


def _folder_of(series: Series) -> Path:
    """The deepest folder that holds all files of a series."""
    folder = series.folder
    while not all(path.is_relative_to(folder) for path in series.files):
        folder = folder.parent
    return folder


def _pick(
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
