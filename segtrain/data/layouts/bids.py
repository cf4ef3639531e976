"""A BIDS data set with masks among its derivatives -> cases: a subject, or each of its sessions.

    root/sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz
    root/derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_dseg.nii.gz

Scans are looked for in the raw data, unless their pattern begins with `derivatives/`; masks in both.
"""

from __future__ import annotations

from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, Problem
from segtrain.data.faults import Faults
from segtrain.data.files.formats import format_of
from segtrain.data.layouts.dicom_tree import Candidate, pick
from segtrain.data.layouts.listing import FoundCase, scan_name
from segtrain.data.settings import DataSettings

DERIVATIVES = "derivatives"


def bids_cases(settings: DataSettings, faults: Faults) -> dict[str, FoundCase] | None:
    """Cases by id, `sub-01` or `sub-01_ses-1`; the patient is the subject. None where there is no subject."""
    root = settings.root
    if root is None:
        raise ConfigError(Problem("data.root is not set", "data.root", hint="set it to the folder of the data set"))
    sessions = sessions_in(root)
    if not sessions:
        why = "it has no folder sub-..." if root.is_dir() else "there is no such folder"
        faults.of().append(Problem("this is no BIDS data set", str(root), why, "check data.root"))
        return None
    patterns = dict(settings.channels) if isinstance(settings.channels, dict) else {}
    cases: dict[str, FoundCase] = {}
    for name, session in sessions.items():
        problems = faults.of(name)
        raw, derived = files_of(root, session)
        images = []
        for channel, pattern in patterns.items():
            among = derived if pattern.startswith(f"{DERIVATIVES}/") else raw
            images.append(pick(root / session, f"channel {channel}", pattern, among, problems))
        label = settings.label and pick(root / session, "label", settings.label, [*raw, *derived], problems)
        if not problems:
            cases[name] = FoundCase(tuple(i for i in images if i), label or None, session.parts[0])
    return cases


def sessions_in(root: Path) -> dict[str, Path]:
    """Case id -> its folder below the root: each session, or the subject where it has none."""
    found: dict[str, Path] = {}
    for subject in sorted(p for p in root.glob("sub-*") if p.is_dir()):
        sessions = sorted(p for p in subject.glob("ses-*") if p.is_dir())
        for folder in sessions or [subject]:
            inside = folder.relative_to(root)
            found["_".join(inside.parts)] = inside
    return found


def files_of(root: Path, session: Path) -> tuple[list[Candidate], list[Candidate]]:
    """The NIfTI files of a session in the raw data and in the derivatives: by their name, and their path below root."""
    derived = root / DERIVATIVES
    places = [derived / session, *(p / session for p in sorted(derived.glob("*")) if p.is_dir())]
    return _candidates(root, session, [root / session]), _candidates(root, session, places)


def suffix_of(name: str, session: Path) -> str:
    """What follows the subject and the session in a name, as acq-3d_T1w."""
    return name.removeprefix("_".join(session.parts)).lstrip("_")


def _candidates(root: Path, session: Path, folders: list[Path]) -> list[Candidate]:
    """A pattern may match the name, the path below the root, or the suffix, which tells T1w from acq-3d_T1w."""
    files = (path for folder in folders if folder.is_dir() for path in sorted(folder.rglob("*")))
    shown = (path for path in files if format_of(path) == "nifti" and not path.name.startswith("."))
    return [Candidate(ScanSource(path), _names(path, root, session)) for path in shown]


def _names(path: Path, root: Path, session: Path) -> tuple[str, ...]:
    name = scan_name(path)
    return name, (path.parent.relative_to(root) / name).as_posix(), suffix_of(name, session)
