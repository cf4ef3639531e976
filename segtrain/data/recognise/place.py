"""What lies at a place: `segtrain init` asks nobody, it looks.

The first of these that fits is taken, the most certain one first: a CSV of cases, a dataset.json, a BIDS data set, two
folders whose names pair, folders of masks with a file a structure, a tree of DICOM series, masks that are called after
their scan, a folder for each case.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from pathlib import Path

from segtrain.core.errors import DataError, Problem
from segtrain.core.words import count
from segtrain.data.inside import path_below
from segtrain.data.layouts.bids import files_of, sessions_in, suffix_of
from segtrain.data.layouts.dataset_json import NAME, DatasetJson, read_dataset_json
from segtrain.data.layouts.naming import common, is_mask_word, mostly_masks
from segtrain.data.recognise.dicom import recognise_dicom
from segtrain.data.recognise.files import recognise_case_folders, recognise_pairs, recognise_structure_folders
from segtrain.data.recognise.folders import names_that_do_not_pair, recognise_folders
from segtrain.data.recognise.recognised import Recognised, channel_names, some
from segtrain.data.recognise.table import recognise_table

LOOKED_FOR = (
    f"a {NAME} (nnU-Net, Decathlon); sub-*/ with derivatives/ (BIDS); two sub-folders whose files have the same names; "
    "DICOM series with a series or file called mask, seg or label; x.nii.gz beside x_seg.nii.gz; a folder "
    "for each case, with a mask or a folder of masks"
)
MOST_TRIED = 10
FIX = "write a CSV with the columns case,image,label and name that; data/README.md shows every layout"


def recognise(place: Path) -> Recognised:
    """What a folder or a CSV is. DataError where it is none of the layouts, or holds no masks."""
    if place.is_file():
        return recognise_table(place)
    if not place.is_dir():
        raise DataError(Problem("there is no such folder or table", str(place), hint=_near(place)))
    for attempt in ATTEMPTS:
        found = attempt(place)
        if found is not None:
            return found
    inside = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    there = some([path.name + "/" * path.is_dir() for path in inside]) or "nothing"
    why = f"looked for: {LOOKED_FOR}. There is: {there}{names_that_do_not_pair(place)}"
    near = [path for path in inside[:MOST_TRIED] if path.is_dir() and any(_fits(one, path) for one in CHEAP)]
    hint = f"perhaps you mean {some([str(path) for path in near])}" if near else FIX
    raise DataError(Problem("no data set with masks was recognised", str(place), why, hint))


def _near(place: Path) -> str:
    """What may have been meant by a path where nothing is."""
    above = next(folder for folder in place.parents if folder.is_dir())
    there = sorted(path.name for path in above.iterdir() if not path.name.startswith("."))
    near = difflib.get_close_matches(place.relative_to(above).parts[0], there, n=1)
    if near:
        return f"did you mean {above / near[0]}?"
    return f"check the path: {above} has {some(there) or 'nothing'}; name a folder with scans and masks, or a CSV"


def _fits(attempt: Callable[[Path], Recognised | None], place: Path) -> bool:
    try:
        return attempt(place) is not None
    except DataError:
        return True


def _of_dataset_json(place: Path) -> Recognised | None:
    if not (place / NAME).is_file():
        return None
    problems: list[Problem] = []
    declared = read_dataset_json(place, problems)
    if declared is None:
        raise DataError(*problems)
    is_decathlon = _lists_its_files(declared)
    layout, whose = ("decathlon", "the Medical Segmentation Decathlon") if is_decathlon else ("nnunet", "nnU-Net")
    values = {"layout": layout, "root": place, "channels": list(declared.channels)}
    return Recognised(f"a data set in the layout of {whose}", values, declared=declared, named_in=(place,))


def _lists_its_files(declared: DatasetJson) -> bool:
    """Whether its entries are files: version 1 of nnU-Net lists names without a channel number, and version 2 ids."""
    first = declared.entries[0] if declared.entries else None
    if first is None or first.name:
        return False
    path = path_below(declared.path.parent, first.images[0], NAME, [])
    return path is None or path.is_file()  # a name that leads out is told by those who read the list


def _of_bids(place: Path) -> Recognised | None:
    """Suffixes that every session has: those of the raw data are channels, one of the derivatives the mask."""
    sessions = sessions_in(place)
    if not sessions:
        return None
    files = {name: files_of(place, session) for name, session in sessions.items()}
    raw = [[suffix_of(c.names[0], sessions[name]) for c in both[0]] for name, both in files.items()]
    derived = [[suffix_of(c.names[0], sessions[name]) for c in both[1]] for name, both in files.items()]
    channels, rare = common(raw)
    drawn, some_lack = common(derived)
    masks = [m for m in dict.fromkeys((*drawn, *channels)) if is_mask_word(m.rpartition("_")[2])]
    masks = masks or mostly_masks(some_lack, len(sessions))
    channels = [suffix for suffix in dict.fromkeys(channels) if suffix not in masks]
    if not masks or not channels:
        why = f"in every session: {some(channels) or 'no scan'}; masks in every session: {some(masks) or 'none'}"
        hint = "masks are called *_dseg or *_mask and lie below derivatives/"
        raise DataError(Problem("a BIDS data set without a scan or a mask for every session", str(place), why, hint))
    mask = min(masks, key=lambda name: (not name.endswith("dseg"), name))
    said = (
        [f"*_{mask} is taken as the mask; {some(sorted({*masks} - {mask}))} could be it too"] if len(masks) > 1 else []
    )
    said += [f"no channel, because some sessions lack it: {some(sorted(rare))}"] if rare else []
    names = channel_names([suffix.rpartition("_")[2].removesuffix("w") for suffix in channels])
    there = {suffix for one in (*raw, *derived) for suffix in one}
    patterns = {name: _pattern(suffix, there) for name, suffix in zip(names, channels, strict=True)}
    values = {"layout": "bids", "root": place, "channels": patterns, "label": _pattern(mask, there)}
    named_in = (place, *sorted((place / "derivatives").glob("*")), place / "derivatives")
    subjects = count(len({session.parts[0] for session in sessions.values()}), "subject")
    words = f"a BIDS data set of {count(len(sessions), 'session')} of {subjects}"
    return Recognised(words, values, guesses=tuple(said), named_in=named_in)


def _pattern(suffix: str, there: Collection[str]) -> str:
    """As *_T1w; or T1w, from its beginning, where acq-3d_T1w is there as well."""
    return suffix if any(other.endswith(f"_{suffix}") for other in there) else f"*_{suffix}"


ATTEMPTS: tuple[Callable[[Path], Recognised | None], ...] = (
    _of_dataset_json,
    _of_bids,
    recognise_folders,
    recognise_structure_folders,
    recognise_dicom,
    recognise_pairs,
    recognise_case_folders,
)
"""In the order in which they are tried."""
CHEAP = (_of_dataset_json, recognise_folders, recognise_pairs)
"""Those that are tried on sub-folders, for a hint."""
