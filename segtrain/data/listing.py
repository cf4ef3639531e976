"""What lies in a folder of scans: NIfTI files by their name, DICOM series by their folder's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import Problem, UnreadableScan
from segtrain.data.dicom_headers import dicom_candidates, list_series, looks_like_dicom
from segtrain.data.nifti_header import SUFFIXES, is_nifti

UNREAD_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img", ".mgz", ".mgh", ".npy", ".npz", ".zip", ".tar")
"""Files that a person may take for scans of the data set, and that no border reads."""


@dataclass(frozen=True)
class Found:
    """A scan, and its patient's pseudonym where the file names one."""

    source: ScanSource
    patient: str = ""


def list_scans(folder: Path, problems: list[Problem]) -> dict[str, Found] | None:
    """Scans by name without suffix, sorted; None where the folder cannot be used. Faults go to `problems`.

    A folder that directly holds DICOM slices is one scan of that folder's name.
    """
    if not folder.is_dir():
        what = "this is a file, not a folder of scans" if folder.exists() else "there is no such folder"
        problems.append(Problem(what, str(folder), hint="check the path; paths in a config are relative to the config"))
        return None
    found: dict[str, Found] = {}
    before = len(problems)
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith(".")):
        name, scan = scan_name(path), _scan_at(path, problems)
        if scan and name in found:
            both = f"{found[name].source.path.name} and {path.name}"
            problems.append(Problem(f"{name} is there twice", str(folder), both, "keep one of them"))
        elif scan:
            found[name] = scan
    if not found and len(problems) == before:
        return _folder_itself(folder, problems)
    return found


def scan_name(path: Path) -> str:
    """The name of a file without `.nii` or `.nii.gz`; the name of a folder as it is."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.is_dir():
            return path.name[: -len(suffix)]
    return path.name


def _scan_at(path: Path, problems: list[Problem]) -> Found | None:
    if path.is_dir():
        return _series_in(path, problems)
    if is_nifti(path):
        return Found(ScanSource(path))
    if path.name.lower().removesuffix(".gz").endswith(UNREAD_SUFFIXES):
        hint = "convert it to .nii.gz, or move it out of this folder"
        problems.append(Problem("no reader knows this kind of file", str(path), hint=hint))
    return None


def _series_in(folder: Path, problems: list[Problem]) -> Found | None:
    """The one series of a folder."""
    try:
        series = list_series(folder)
    except UnreadableScan as error:
        problems.extend(error.problems)
        return None
    if len(series) == 1:
        return Found(ScanSource(folder, series[0].uid), series[0].patient_id)
    if series:
        why = "; ".join(s.describe() for s in series[:4])
        hint = "keep one series a folder, or use layout: dicom with patterns"
        problems.append(Problem(f"the folder of a case holds {len(series)} series", str(folder), why, hint))
    else:
        why = "it holds no DICOM image" + (", but NIfTI files" if any(map(is_nifti, folder.rglob("*"))) else "")
        hint = "scans lie directly in the folder that you name, or as one folder of DICOM slices each"
        problems.append(Problem("a sub-folder is no scan", str(folder), why, hint))
    return None


def _folder_itself(folder: Path, problems: list[Problem]) -> dict[str, Found] | None:
    """Nothing in the folder is a scan: it may be the slices of one, or else it is empty."""
    files = dicom_candidates(folder)
    if any(map(looks_like_dicom, files[:10])):
        scan = _series_in(folder, problems)
        return {folder.resolve().name: scan} if scan else None
    why = f"{len(files)} files are there, none of them NIfTI or DICOM" if files else "it is empty"
    problems.append(Problem("the folder holds no scan", str(folder), why, "point at the folder with the .nii.gz files"))
    return None
