"""A tree of DICOM series: at which depth its cases lie, and by which names their series are told apart."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segtrain.data.dicom_headers import dicom_candidates, looks_like_dicom, read_folder
from segtrain.data.dicom_tree import Candidate, masks_in, scans_among
from segtrain.data.naming import common, is_mask_word
from segtrain.data.recognised import Recognised, channel_names, some

LOOKED_AT = 200
"""Files that are looked at before a folder is taken to hold no DICOM."""


@dataclass(frozen=True)
class _Depth:
    """The candidates of each case, if cases lie so many folders below the root."""

    folders: int
    cases: tuple[tuple[Candidate, ...], ...]
    keys: tuple[str, ...]
    """Names that belong to exactly one candidate of every case, one a candidate."""
    elsewhere: tuple[str, ...]


def recognise_dicom(place: Path) -> Recognised | None:
    """A tree of series with a mask a case; None where there is no DICOM.

    Reads every header. Raises UnreadableScan for damaged files.
    """
    files = dicom_candidates(place)
    step = max(1, len(files) // LOOKED_AT)
    if not any(map(looks_like_dicom, files[::step])):
        return None
    content = read_folder(place)
    found = [*scans_among(content.series()), *masks_in(place, content.drawings)]
    deepest = min((len(_parts(place, candidate)) for candidate in found), default=0)
    depths = [_at(place, found, folders) for folders in range(1, 1 + deepest)]
    masks = {depth: [key for key in depth.keys if _is_mask(key, depth)] for depth in depths}
    usable = [d for d in depths if masks[d] and len(masks[d]) < len(d.keys)]
    if not usable:
        return None
    best = max(usable, key=lambda depth: (len(depth.keys), depth.folders))
    label, *others = masks[best]
    channels = [key for key in best.keys if key not in masks[best]]
    said = [f"{label} is taken as the mask; {some(others)} could be it too"] if others else []
    if best.elsewhere:
        said.append(f"no channel, because some cases lack it or have it twice: {some(list(best.elsewhere))}")
    values = {
        "layout": "dicom",
        "root": place,
        "case": "/".join("*" * best.folders),
        "channels": {name: glob.escape(key) for name, key in zip(channel_names(channels), channels, strict=True)},
        "label": glob.escape(label),
    }
    words = f"a tree of DICOM series: {len(best.cases)} cases, each a folder {values['case']} below it"
    return Recognised(words, values, guesses=tuple(said), named_in=(place,))


def _at(place: Path, found: Sequence[Candidate], folders: int) -> _Depth:
    groups: dict[tuple[str, ...], list[Candidate]] = {}
    for candidate in found:
        groups.setdefault(_parts(place, candidate)[:folders], []).append(candidate)
    cases = tuple(map(tuple, groups.values()))
    keys, elsewhere = common([_single_names(case) for case in cases])
    named = [c for case in cases for c in case if _is_named(c, keys)]
    shown = [next(text for text in _texts(c) if text.lower() in keys) for c in cases[0] if _is_named(c, keys)]
    covered = {text.lower() for c in named for text in _texts(c)}
    rest = tuple(name for name in elsewhere if name not in covered)
    return _Depth(folders, cases, tuple(shown), rest)


def _single_names(case: Sequence[Candidate]) -> list[str]:
    """Names, in lower case, that exactly one candidate of a case has."""
    names = [name for candidate in case for name in {text.lower() for text in _texts(candidate)}]
    return [name for name in names if names.count(name) == 1]


def _texts(candidate: Candidate) -> list[str]:
    return [name for name in candidate.names if name]


def _is_named(candidate: Candidate, keys: Sequence[str]) -> bool:
    return any(text.lower() in keys for text in _texts(candidate))


def _is_mask(key: str, depth: _Depth) -> bool:
    """Whether a candidate is a mask: a file can be nothing else, a series has a name that says so."""
    own = next(c for c in depth.cases[0] if key in _texts(c))
    return own.source.path.is_file() or any(map(is_mask_word, _texts(own)))


def _parts(place: Path, candidate: Candidate) -> tuple[str, ...]:
    """The folders below the root in which a candidate lies: those of a series, or of a file."""
    path = candidate.source.path
    return (path if path.is_dir() else path.parent).relative_to(place).parts
