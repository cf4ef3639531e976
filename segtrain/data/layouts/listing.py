"""What lies in a folder of scans: files by their name, DICOM series by their folder's name.

Pictures (PNG, TIFF, JPEG) are scans only in a folder without any other: beside scans they are previews.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import Problem, UnreadableScan
from segtrain.core.words import count
from segtrain.data.dicom.headers import dicom_candidates, looks_like_dicom, read_file, read_folder
from segtrain.data.dicom.records import Drawing, SliceHeader
from segtrain.data.faults import Faults
from segtrain.data.files.formats import READ, UNREAD_SUFFIXES, VOLUMES, format_of, header_of_pair, scan_name
from segtrain.data.structure_folder import structure_files

__all__ = ["Found", "FoundCase", "list_masks", "list_scans", "mask_at", "scan_at", "scan_name"]


@dataclass(frozen=True)
class Found:
    """A scan, and its patient's pseudonym where the file names one."""

    source: ScanSource
    patient: str = ""


@dataclass(frozen=True)
class FoundCase:
    """The scans of one case; `patient` is "" where nothing but its name may tell."""

    images: tuple[ScanSource, ...]
    label: ScanSource | None
    patient: str
    in_files: frozenset[str] = frozenset()
    """Pseudonyms of the patients that its DICOM files name; of one case they must be one."""


def is_there(path: Path) -> bool:
    """Whether a path leads to something; not where its name is too long for this system."""
    try:
        return path.exists()
    except OSError:
        return False


def named_in(found: Iterable[Found | None]) -> frozenset[str]:
    """The patients that these scans name."""
    return frozenset(scan.patient for scan in found if scan and scan.patient)


def list_scans(folder: Path, faults: Faults) -> dict[str, Found] | None:
    """Scans by name without suffix, sorted; None where the folder cannot be used. Faults go under the scan's name.

    A folder that directly holds DICOM slices is one scan of that folder's name.
    """
    return _listed(folder, faults, scan_at)


def list_masks(folder: Path, faults: Faults) -> dict[str, Found] | None:
    """As `list_scans`; a sub-folder may be a mask with a file a structure."""
    return _listed(folder, faults, mask_at)


def _listed(
    folder: Path, faults: Faults, look: Callable[[Path, list[Problem]], Found | None]
) -> dict[str, Found] | None:
    if not folder.is_dir():
        what = "this is a file, not a folder of scans" if folder.exists() else "there is no such folder"
        hint = "check the path; paths in a config are relative to the config"
        faults.of().append(Problem(what, str(folder), hint=hint))
        return None
    found: dict[str, Found] = {}
    before = len(faults.problems)
    files, slices = _candidates(folder)
    for path in files:
        name = scan_name(path)
        scan = look(path, faults.of(name))
        if scan and name in found:
            both = f"{found[name].source.path.name} and {path.name}"
            faults.of(name).append(Problem(f"{name} is there twice", str(folder), both, "keep one of them"))
        elif scan:
            found[name] = scan
    if not found and len(faults.problems) == before:
        return _folder_itself(folder, faults.of())
    if slices:
        why = f"{len(slices)} slices, as {slices[0].name}, are no scan each"
        hint = "give every series a folder of its own"
        faults.of(slices[0].name).append(Problem("slices of DICOM lie beside other scans", str(folder), why, hint))
    return found


def holds_scan_files(folder: Path) -> bool:
    """Whether scans lie directly in a folder: each a file of its own, or as slices and no folders beside them."""
    files, slices = _candidates(folder)
    if any(path.is_file() and scan_at(path, []) is not None for path in files):
        return True
    return bool(slices) and not any(path.is_dir() for path in files)


def _candidates(folder: Path) -> tuple[list[Path], list[Path]]:
    """What may be a scan, by name and without previews; and the slices there that only together are one."""
    files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    kinds = {path: format_of(path) for path in files}
    if any(path.is_dir() or kind not in (None, "picture") for path, kind in kinds.items()):
        files = [path for path in files if kinds[path] != "picture"]
    dicom = [path for path in files if kinds[path] == "dicom" and is_there(path)]
    slices = dicom if _are_slices(dicom) else []
    return [path for path in files if path not in slices], slices


def _are_slices(files: Sequence[Path]) -> bool:
    """Whether files directly in a folder are slices of series, and not a scan or mask each: by those that are sound."""
    first: list[SliceHeader] = []
    for path in files:
        with suppress(UnreadableScan):  # told when it is read, as a file or with its series
            headers = read_file(path)
            first += () if isinstance(headers, Drawing) else headers[:1]
    alone = len(first) == 1 and first[0].frames == 1
    return bool(first) and (alone or len({header.series_uid for header in first}) < len(first))


def scan_at(path: Path, problems: list[Problem]) -> Found | None:
    """The scan that a path is; None where it is none, and where that is a fault, it goes to `problems`."""
    if not is_there(path):
        why = "it is a link that leads to nothing" if path.is_symlink() else ""
        problems.append(Problem("a file is not there", str(path), why, "copy it, or the file that the link stands for"))
        return None
    if path.is_dir():
        return _series_in(path, problems)
    kind, header = format_of(path), header_of_pair(path)
    if kind == "dicom":
        return _dicom_file(path, problems)
    if kind is not None:
        return Found(ScanSource(path))
    if header is not None and not header.exists():
        hint = "copy both files of the pair"
        problems.append(Problem("the header of a pair is missing", str(path), f"{header.name} is not there", hint))
    if header is None and path.name.lower().removesuffix(".gz").endswith(UNREAD_SUFFIXES):
        hint = "convert it to .nii.gz, or move it out of this folder"
        problems.append(Problem("no reader knows this kind of file", str(path), hint=hint))
    return None


def mask_at(path: Path, problems: list[Problem]) -> Found | None:
    """As `scan_at`, for a mask: a folder may hold a file a structure, as `structure_folder` reads them.

    Only where no DICOM lies at or below it: beside a series, such a file is what somebody converted.
    """
    try:
        if structure_files(path) and not _holds_dicom(path):
            return Found(ScanSource(path))
    except UnreadableScan as error:
        problems.extend(error.problems)
        return None
    return scan_at(path, problems)


def _holds_dicom(folder: Path) -> bool:
    """Whether a series or a drawing lies at or below a folder. Headers are read only where a file may have one."""
    if all(format_of(path) in VOLUMES for path in dicom_candidates(folder)):
        return False
    content = read_folder(folder)
    return bool(content.slices or content.drawings)


def _dicom_file(path: Path, problems: list[Problem]) -> Found | None:
    """A file that is a scan or a mask by itself."""
    try:
        found = read_file(path)
    except UnreadableScan as error:
        problems.extend(error.problems)
        return None
    if isinstance(found, Drawing):
        return Found(ScanSource(path), found.patient_id)
    return Found(ScanSource(path, found[0].series_uid), found[0].patient_id) if found else None


def _series_in(folder: Path, problems: list[Problem]) -> Found | None:
    """The one series of a folder, or without one, the one mask that was drawn on some."""
    try:
        content = read_folder(folder)
    except UnreadableScan as error:
        problems.extend(error.problems)
        return None
    series, drawings = content.series(), content.drawings
    if len(series) == 1:
        return Found(ScanSource(folder, series[0].uid), series[0].patient_id)
    if not series and len(drawings) == 1:
        return Found(ScanSource(drawings[0].path), drawings[0].patient_id)
    if series or drawings:
        names = [s.describe() for s in series] or [d.describe() for d in drawings]
        what = f"the folder of a case holds {len(names)} {'series' if series else 'masks'}"
        hint = "keep one a folder, or use layout: dicom with patterns"
        problems.append(Problem(what, str(folder), "; ".join(names[:4]), hint))
    else:
        others = any(format_of(path) for path in folder.rglob("*"))
        why = "it holds no DICOM image" + (", but scans as files" if others else "")
        hint = "scans lie directly in the folder that you name, or as one folder of DICOM slices each"
        problems.append(Problem("a sub-folder is no scan", str(folder), why, hint))
    return None


def _folder_itself(folder: Path, problems: list[Problem]) -> dict[str, Found] | None:
    """Nothing in the folder is a scan: it may be the slices of one, or else it is empty."""
    files = dicom_candidates(folder)
    if any(map(looks_like_dicom, files[:10])):
        scan = _series_in(folder, problems)
        return {folder.resolve().name: scan} if scan else None
    why = f"it has {count(len(files), 'file')}, and no scan among them" if files else "it is empty"
    problems.append(
        Problem("the folder holds no scan", str(folder), why, f"point at the folder with the scans: {READ}")
    )
    return None
