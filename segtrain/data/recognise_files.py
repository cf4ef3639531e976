"""Scans and masks that lie side by side, told apart by their names: what a table of cases describes.

one folder          P1.nii.gz P1_seg.nii.gz, or P1_T1.nii.gz P1_T2.nii.gz P1_mask.nii.gz
a folder a case     P1/P1_t1.nii.gz P1/P1_seg.nii.gz, or case_1/imaging.nii.gz case_1/segmentation.nii.gz
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.data.formats import format_of, scan_name
from segtrain.data.listing import FoundCase
from segtrain.data.naming import (
    SEPARATORS,
    by_case_and_part,
    common,
    is_mask_word,
    is_visit,
    mostly_masks,
    without_mask_word,
)
from segtrain.data.recognised import Recognised, channel_names, some

MOST_FILES = 100_000
MOST_UNNAMED = 3
"""Cases in one folder that are taken for those of one patient, whatever they are called."""


def recognise_pairs(place: Path) -> Recognised | None:
    """Files of one folder, where masks are called after their scan; None where there is no such mask."""
    files = scan_files(place)
    masks = {name: case for name in files if (case := without_mask_word(name))}
    parts = by_case_and_part((name for name in files if name not in masks), sorted(set(masks.values())))
    parts = {case: found for case, found in parts.items() if found}
    if not parts:
        return None
    labels = {case: files[name] for name, case in masks.items()}
    doubled = sorted(case for case, count in Counter(masks.values()).items() if count > 1)
    alone = sorted(set(files) - set(masks) - {name for found in parts.values() for name in found.values()})
    said = [f"several masks are of the case {some(doubled)}: the last of each was taken"] if doubled else []
    said += [f"left out, because no mask is called after it: {some(alone)}"] if alone else []
    scans = {case: {part: files[name] for part, name in found.items()} for case, found in parts.items()}
    words = f"scans and masks in one folder: {len(scans)} masks are called after a scan, with a word as _seg or _mask"
    return as_table(words, scans, labels, tuple(said), (place,))


def recognise_case_folders(place: Path) -> Recognised | None:
    """A folder for each case, with files that are called alike in each; None where there is none, or no mask.

    DataError where two of them would be one case.
    """
    folders: dict[Path, dict[str, Path]] = {}
    for path in _below(place):
        folders.setdefault(path.parent.relative_to(place), {})[_part(path, place)] = path
    folders = {folder: files for folder, files in folders.items() if folder.parts}
    everywhere, elsewhere = common(folders.values())
    channels = [part for part in everywhere if not is_mask_word(part)]
    masks = [part for part in everywhere if is_mask_word(part)] or mostly_masks(elsewhere, len(folders))[:1]
    if not masks or not channels:
        return None
    said = [f"{masks[0]} is taken as the mask; {some(masks[1:])} could be it too"] if len(masks) > 1 else []
    said += _incomplete({part: n for part, n in elsewhere.items() if part != masks[0]}, len(folders))
    names = {folder: "_".join(folder.parts) for folder in folders}
    if len(set(names.values())) < len(names):
        raise DataError(Problem("two folders would be one case", str(place), "with _ for / they are called alike"))
    scans = {names[folder]: {part: files[part] for part in channels} for folder, files in folders.items()}
    labels = {names[folder]: files[masks[0]] for folder, files in folders.items() if masks[0] in files}
    patients, how = _patients(list(folders))
    said += [how] if how else []
    words = f"{len(folders)} folders of a case each, with a mask called {masks[0]}"
    named = {names[folder]: patient for folder, patient in patients.items()}
    return as_table(words, scans, labels, tuple(said), (place,), named)


def _patients(folders: Sequence[Path]) -> tuple[dict[Path, str], str]:
    """Whose the cases are, and the sentence that says so: a first folder is a patient, or a group as BraTS's HGG."""
    inside = [folder for folder in folders if len(folder.parts) > 1]
    if not inside:
        return {}, ""
    most = max(Counter(folder.parts[0] for folder in inside).values())
    if most <= MOST_UNNAMED or any(_is_visit(folder, inside) for folder in inside):
        said = "the first folder of a case is taken as its patient"
        return {folder: folder.parts[0] for folder in inside}, said
    return {}, "each case is taken as a patient: first folders hold many, and what is in them is not called as a visit"


def _is_visit(folder: Path, all_folders: Sequence[Path]) -> bool:
    """Whether a folder is called as a visit, after the one around it, or as one in the folder of somebody else."""
    patient, name = folder.parts[:2]
    alike = any(other.parts[0] != patient and other.parts[1] == name for other in all_folders)
    return alike or is_visit(name) or name.startswith(tuple(f"{patient}{mark}" for mark in SEPARATORS))


def scan_files(folder: Path) -> dict[str, Path]:
    """Name -> file, of the files of a folder that a reader knows, hidden ones and DICOM left out."""
    inside = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return {scan_name(path): path for path in inside if format_of(path) not in (None, "dicom")}


def as_table(
    words: str,
    scans: Mapping[str, Mapping[str, Path]],
    labels: Mapping[str, Path],
    said: tuple[str, ...],
    named_in: tuple[Path, ...],
    patients: Mapping[str, str] | None = None,
) -> Recognised:
    """Case -> part -> scan, and case -> mask, as the rows of a table; the parts that all cases have are channels.

    A case without a mask has a row that lacks it, for `check` to name.

    DataError where they have none in common.
    """
    parts, elsewhere = common(scans.values())
    said = (*said, *_incomplete(elsewhere, len(scans)))
    if not parts:
        hint = "write a table with the columns case,image,label, and name that"
        raise DataError(Problem("no channel is there in every case", str(named_in[0]), "; ".join(said), hint))
    parts = sorted(parts)
    rows = {
        case: FoundCase(
            tuple(ScanSource(found[part]) for part in parts),
            ScanSource(labels[case]) if case in labels else None,
            (patients or {}).get(case, ""),
        )
        for case, found in scans.items()
    }
    values = {"layout": "table", "channels": channel_names(parts)}
    return Recognised(words, values, rows, said, named_in=named_in)


def _incomplete(elsewhere: Mapping[str, int], cases: int) -> list[str]:
    """Parts that not all cases have: a network needs the same channels of every case."""
    shown = [f"{part or 'a file without a further word'} ({n} of {cases} cases)" for part, n in elsewhere.items()]
    return [f"no channel, because some cases lack it: {some(shown)}"] if shown else []


def _below(place: Path) -> list[Path]:
    """Files below a folder that a reader knows, without hidden ones and DICOM."""
    found: list[Path] = []
    for number, path in enumerate(place.rglob("*")):
        if number > MOST_FILES:
            return []
        hidden = any(part.startswith(".") for part in path.relative_to(place).parts)
        if not hidden and path.is_file() and format_of(path) not in (None, "dicom"):
            found.append(path)
    return sorted(found)


def _part(path: Path, place: Path) -> str:
    """The name of a file without the names of its folders, as t1 of P1/P1_t1.nii.gz."""
    name = scan_name(path)
    for folder in reversed(path.parent.relative_to(place).parts):
        rest = name.removeprefix(folder)
        if rest != name and (not rest or rest[0] in SEPARATORS):
            return rest.lstrip(SEPARATORS)
    return name
