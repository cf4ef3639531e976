"""Scans and masks that lie side by side, told apart by their names: what a table of cases describes.

one folder          P1.nii.gz P1_seg.nii.gz, or P1_T1.nii.gz P1_T2.nii.gz P1_mask.nii.gz
a folder a case     P1/P1_t1.nii.gz P1/P1_seg.nii.gz, or case_1/imaging.nii.gz case_1/segmentation.nii.gz
a file a structure  s0001/ct.nii.gz s0001/segmentations/liver.nii.gz s0001/segmentations/spleen.nii.gz
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.words import count
from segtrain.data.files.formats import format_of, scan_name, suffix_of
from segtrain.data.layouts.listing import FoundCase
from segtrain.data.layouts.naming import (
    SEPARATORS,
    by_case_and_part,
    common,
    is_mask_word,
    is_visit,
    mostly_masks,
    without_mask_word,
)
from segtrain.data.recognise.recognised import Recognised, channel_names, some

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
    words = f"scans and masks in one folder: {count(len(scans), 'mask')} called after a scan, with a word as _seg"
    return as_table(words, scans, labels, tuple(said), (place,))


def recognise_case_folders(place: Path) -> Recognised | None:
    """A folder for each case, with files that are called alike in each; None where there is none, or no mask.

    DataError where two of them would be one case.
    """
    folders = {folder: files for folder, files in _by_folder(place).items() if folder.parts}
    everywhere, elsewhere = common(folders.values())
    channels = [part for part in everywhere if not is_mask_word(part)]
    masks = [part for part in everywhere if is_mask_word(part)] or mostly_masks(elsewhere, len(folders))[:1]
    if not masks or not channels:
        return None
    said = [f"{masks[0]} is taken as the mask; {some(masks[1:])} could be it too"] if len(masks) > 1 else []
    said += _incomplete({part: n for part, n in elsewhere.items() if part != masks[0]}, len(folders))
    scans = {folder: {part: files[part] for part in channels} for folder, files in folders.items()}
    labels = {folder: files[masks[0]] for folder, files in folders.items() if masks[0] in files}
    words = f"{count(len(folders), 'folder')} of a case each, with a mask called {masks[0]}"
    return _folders_as_table(words, scans, labels, said, place)


def recognise_structure_folders(place: Path) -> Recognised | None:
    """A folder for each case, with a folder in it that holds a mask a structure; None where there is no such folder.

    DataError where two of them would be one case.
    """
    files = _by_folder(place)
    inner = [folder for folder in files if is_mask_word(folder.name) and folder.parent.parts and folder.parent in files]
    if not inner:
        return None
    ((name, drawn),) = Counter(folder.name for folder in inner).most_common(1)
    labels = {folder.parent: place / folder for folder in inner if folder.name == name}
    others = sorted({part for folder in labels for part in files[folder] if is_mask_word(part)})
    channels, _ = common([part for part in files[folder] if part not in others] for folder in labels)
    cases = {folder: own for folder, own in files.items() if folder in labels or {*channels} <= {*own}}
    scans = {folder: {p: path for p, path in own.items() if p not in others} for folder, own in cases.items()}
    said = [f"the folder {name} is taken as the mask; {some(others)} could be it too"] if others else []
    rest = [folder for folder in files if folder not in cases and folder.parent not in labels]
    left_out = [(folder / path.name).as_posix() for folder in rest for path in files[folder].values()]
    said += [f"left out, because {some(channels)} is not beside it: {some(sorted(left_out))}"] if left_out else []
    words = f"{count(drawn, 'folder')} of a case each, with a folder called {name} that has a mask a structure"
    return _folders_as_table(words, scans, labels, said, place) if channels else None


def _by_folder(place: Path) -> dict[Path, dict[str, Path]]:
    """Folder below the place -> part of the name -> file."""
    folders: dict[Path, dict[str, Path]] = {}
    for path in _below(place):
        folders.setdefault(path.parent.relative_to(place), {})[_part(path, place)] = path
    return folders


def _folders_as_table(
    words: str,
    scans: Mapping[Path, Mapping[str, Path]],
    labels: Mapping[Path, Path],
    said: Sequence[str],
    place: Path,
) -> Recognised:
    """`as_table` for cases that are a folder each, and are called after it. DataError where two are called alike."""
    names = called_after([*scans], place)
    patients, how = _patients(list(scans))
    return as_table(
        words,
        {names[folder]: own for folder, own in scans.items()},
        {names[folder]: mask for folder, mask in labels.items()},
        (*said, *([how] if how else [])),
        (place,),
        {names[folder]: patient for folder, patient in patients.items()},
    )


def called_after(folders: Sequence[Path], place: Path) -> dict[Path, str]:
    """Folder below the place -> its case, as A_1 of A/1. DataError where two are called alike."""
    names = {folder: "_".join(folder.parts) for folder in folders}
    first = {name: folder for folder, name in reversed(names.items())}
    alike = [f"{first[n].as_posix()} and {f.as_posix()}" for f, n in names.items() if first[n] != f]
    if alike:
        why = f"with _ for / they are called alike: {some(alike)}"
        raise DataError(Problem("two folders would be one case", str(place), why, "rename one of them"))
    return names


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
    return {_name(path): path for path in inside if format_of(path) not in (None, "dicom")}


def _name(path: Path) -> str:
    """The name without suffix; of 3D Slicer's P1.seg.nrrd it is P1.seg, which tells it from P1.nrrd beside it."""
    return f"{scan_name(path)}.seg" if suffix_of(path) == ".seg.nrrd" else scan_name(path)


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
    name = _name(path)
    for folder in reversed(path.parent.relative_to(place).parts):
        rest = name.removeprefix(folder)
        if rest != name and (not rest or rest[0] in SEPARATORS):
            return rest.lstrip(SEPARATORS)
    return name
