"""Two sub-folders, one of scans and one of masks, whose names pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.core.words import count
from segtrain.data.files.formats import scan_name
from segtrain.data.layouts.naming import by_case_and_part, common, is_mask_word, without_mask_word
from segtrain.data.read import read_labels, read_volume
from segtrain.data.recognise.files import as_table, scan_files
from segtrain.data.recognise.recognised import Recognised, some
from segtrain.data.structure_folder import structure_files

MOST_FOLDERS = 40
"""With more of them, they are cases and no collections."""
MOST_LABELS = 255
"""Different numbers in a mask."""


@dataclass(frozen=True)
class _Pair:
    """Two folders, and case -> part of the name -> scan."""

    images: Path
    labels: Path
    scans: Mapping[str, Mapping[str, Path]]
    masks: Mapping[str, Path]
    """Of cases that have a scan."""
    left_out: tuple[str, ...]
    """What belongs to no case, a sentence for each kind."""

    @property
    def shared(self) -> int:
        """How many cases have both."""
        return len(self.scans.keys() & self.masks.keys())


def recognise_folders(place: Path) -> Recognised | None:
    """The two sub-folders with the most pairs; None where there are no such two."""
    folders = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if not 2 <= len(folders) <= MOST_FOLDERS:
        return None
    pairs = sorted(_pairs_among(folders), key=lambda pair: -pair.shared)
    if not pairs:
        return None
    best, *others = pairs
    said = [f"{p.images.name} and {p.labels.name} pair as well ({count(p.shared, 'case')}): left out" for p in others]
    return _described(best, said)


def names_that_do_not_pair(place: Path) -> str:
    """What to say where two folders look like scans and masks, and no name is in both; "" otherwise."""
    folders = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    masks = [path for path in folders if is_mask_word(path.name) and scan_files(path)]
    scans = [path for path in folders if path not in masks and scan_files(path)]
    if len(masks) != 1 or len(scans) != 1:
        return ""
    shown = [some(list(scan_files(path))) for path in (scans[0], masks[0])]
    return f". No name is in both: {shown[0]} in {scans[0].name}, {shown[1]} in {masks[0].name}"


def _pairs_among(folders: list[Path]) -> Iterator[_Pair]:
    names = {folder: _names(folder) for folder in folders}
    for one, other in combinations(folders, 2):
        for images, labels in ((one, other), (other, one)):
            pair = _paired(images, labels, names[images], names[labels])
            if pair and pair.shared and _is_plausible(pair):
                yield pair


def _names(folder: Path) -> dict[str, Path]:
    """Files, and sub-folders, which may hold the slices of a scan."""
    folders = {p.name: p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}
    return {**folders, **scan_files(folder)}


def _paired(images: Path, labels: Path, scans: Mapping[str, Path], masks: Mapping[str, Path]) -> _Pair | None:
    """Each mask is called as its scan, or as the scan with a word as _seg; scans may have a part more, as _T1.

    A mask may be a folder with a file a structure; a scan may not.
    """
    if not masks or not scans or any(path.is_dir() and not structure_files(path) for path in masks.values()):
        return None
    if any(map(structure_files, scans.values())):
        return None
    whole = by_case_and_part(scans, masks)
    taken = {name for own in whole.values() for name in own.values()}
    others = {name: without_mask_word(name) or "" for name in masks if not whole[name]}
    worded = by_case_and_part([name for name in scans if name not in taken], sorted({*others.values()} - {""}))
    found = {case: own for case, own in (*worded.items(), *whole.items()) if own}
    if not found:
        return None
    case_of = {name: others.get(name, name) for name in sorted(masks, key=others.__contains__)}
    first: dict[str, str] = {}
    for name, case in case_of.items():
        first.setdefault(case, name)
    paired = {name for own in found.values() for name in own.values()}
    alone = {name for name, case in case_of.items() if case not in found}
    return _Pair(
        images,
        labels,
        {case: {part: scans[name] for part, name in own.items()} for case, own in found.items()},
        {case: masks[name] for case, name in first.items() if case in found},
        tuple(_left_out(sorted({*scans} - paired), sorted(alone), sorted({*masks} - alone - {*first.values()}))),
    )


def _left_out(scans: list[str], masks: list[str], doubled: list[str]) -> Iterator[str]:
    if scans:
        yield f"left out, because no mask is called after it: {some(scans)}"
    if masks:
        yield f"masks without a scan, left out: {some(masks)}"
    if doubled:
        yield f"second masks of a case, left out: {some(doubled)}"


def _is_plausible(pair: _Pair) -> bool:
    """Whether the second folder is that of the masks: by their names, or else by a look at one of each."""
    words = (is_mask_word(pair.images.name), is_mask_word(pair.labels.name))
    if words[0] != words[1]:
        return words[1]
    if any(is_mask_word(scan_name(path)) for path in pair.masks.values()):
        return False  # each is the folder of a case, with its scans and its mask
    case = next(name for name in pair.scans if name in pair.masks)
    scan, mask = next(iter(pair.scans[case].values())), pair.masks[case]
    try:
        ids = np.unique(read_labels(ScanSource(mask)).array)
        values = np.unique(read_volume([ScanSource(scan)]).array)
    except DataError:
        return False
    return len(ids) <= MOST_LABELS and len(ids) < len(values)


def _described(pair: _Pair, said: list[str]) -> Recognised:
    """As two folders, where the names are what that layout takes; else as a table."""
    parts, elsewhere = common(pair.scans.values())
    shared = f"{count(pair.shared, 'case')} with a scan in {pair.images.name} and a mask in {pair.labels.name}"
    around = (pair.labels, pair.labels.parent)
    names = None if elsewhere else _channels_of_layout(pair, sorted(parts))
    if names is not None:
        if len(names) > 1:
            last = f"_{len(names) - 1:04}"
            said = [*said, f"files end in _0000 to {last}: {len(names)} channels, whose names you may change"]
        values = {"images": pair.images, "labels": pair.labels, "channels": names}
        return Recognised(f"two folders: {shared}", values, guesses=tuple(said), named_in=around)
    words = f"two folders with names of their own: {shared}"
    return as_table(words, pair.scans, pair.masks, (*said, *pair.left_out), around)


def _channels_of_layout(pair: _Pair, parts: list[str]) -> list[str] | None:
    """The channels, where masks are called as their scans and these have no part more, or a channel number."""
    if any(scan_name(path) != case for case, path in pair.masks.items()):
        return None
    if parts in ([""], ["0000"]):
        return ["image"]
    numbered = parts == [f"{number:04}" for number in range(len(parts))]
    plain = all(scan_name(path) == f"{case}_{part}" for case, own in pair.scans.items() for part, path in own.items())
    return [f"channel_{number}" for number in range(len(parts))] if numbered and plain else None
