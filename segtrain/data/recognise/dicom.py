"""A tree of DICOM series: at which depth its cases lie, and by which names their series are told apart.

Names that each case has are the best: `T1`, `MaskTumor`. Where a mask or the only scan is called otherwise in every
case, as RS.1.2.840.dcm, a pattern that fits all of them is looked for, and in the end a table names each file.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import permutations, takewhile
from pathlib import Path

from segtrain.core.words import count
from segtrain.data.dicom.headers import dicom_candidates, looks_like_dicom, read_folder
from segtrain.data.layouts.dicom_tree import Candidate, masks_in, scans_among
from segtrain.data.layouts.naming import common, is_mask_word
from segtrain.data.recognise.files import as_table, called_after
from segtrain.data.recognise.recognised import Recognised, channel_names, some

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

    Reads every header. Raises UnreadableScan for damaged files, DataError where two folders would be one case.
    """
    files = dicom_candidates(place)
    step = max(1, len(files) // LOOKED_AT)
    if not any(map(looks_like_dicom, files[::step])):
        return None
    content = read_folder(place)
    candidates = [*scans_among(content.series()), *masks_in(place, content.drawings)]
    deepest = min((len(_parts(place, candidate)) for candidate in candidates), default=0)
    depths = [_at(place, candidates, folders) for folders in range(1, 1 + deepest)]
    masks = {depth: [key for key in depth.keys if _is_mask(key, depth)] for depth in depths}
    usable = [d for d in depths if masks[d] and len(masks[d]) < len(d.keys)]
    if not usable:
        return next((found for depth in reversed(depths) if (found := _named_otherwise(place, depth))), None)
    best = max(usable, key=lambda depth: (len(depth.keys), depth.folders))
    label, *others = masks[best]
    channels = [key for key in best.keys if key not in masks[best]]
    said = [f"{label} is taken as the mask; {some(others)} could be it too"] if others else []
    if best.elsewhere:
        said.append(f"no channel, because some cases lack it or have it twice: {some(list(best.elsewhere))}")
    return _tree(place, best, _escaped(channels), glob.escape(label), said)


def _tree(place: Path, depth: _Depth, channels: Mapping[str, str], label: str, said: Sequence[str]) -> Recognised:
    case = "/".join("*" * depth.folders)
    values = {"layout": "dicom", "root": place, "case": case, "channels": dict(channels), "label": label}
    words = f"a tree of DICOM series: {count(len(depth.cases), 'case')}, each a folder {case} below it"
    return Recognised(words, values, guesses=tuple(said), named_in=(place,))


def _escaped(keys: Sequence[str]) -> dict[str, str]:
    """Channel -> the pattern that is its name."""
    return {name: glob.escape(key) for name, key in zip(channel_names(list(keys)), keys, strict=True)}


def _named_otherwise(place: Path, depth: _Depth) -> Recognised | None:
    """Cases with one mask each, or none, and either channels by name or one scan; None where that is not so."""
    drawn = [[c for c in case if _may_be_mask(c)] for case in depth.cases]
    scans = [[c for c in case if not _may_be_mask(c)] for case in depth.cases]
    keys = [key for key in depth.keys if not _is_mask(key, depth)]
    alone = all(len(own) == 1 for own in scans)
    if max(map(len, drawn)) > 1 or 2 * sum(map(len, drawn)) <= len(drawn) or not (keys or alone):
        return None
    label = _pattern_of([own[0] if own else None for own in drawn], depth.cases)
    series = [[c for c in case if c.source.path.is_dir()] for case in depth.cases]
    only = None if keys else _pattern_of([own[0] for own in scans], series)
    if label and (keys or only):
        said = [f"masks are called otherwise in each case: {label} is what their names have in common"]
        said = [] if label in map(glob.escape, depth.keys) else said
        lower = [key.lower() for key in keys]
        others = sorted({_texts(c)[0] for own in scans for c in own if keys and _texts(c) and not _is_named(c, lower)})
        said += [f"no channel, because some cases lack it or have it twice: {some(others)}"] if others else []
        said += [f"no series has the same name in all cases: {only} is what their names have in common"] if only else []
        return _tree(place, depth, _escaped(keys) if only is None else {"image": only}, label, said)
    if not alone or any(map(_share_a_folder, depth.cases)):
        return None
    folders = [Path(*_parts(place, own[0])[: depth.folders]) for own in scans]
    names = called_after(folders, place)
    named = [names[folder] for folder in folders]
    images = {name: {"": own[0].source.path} for name, own in zip(named, scans, strict=True)}
    labels = {name: own[0].source.path for name, own in zip(named, drawn, strict=True) if own}
    words = f"{count(len(named), 'case')}, each a DICOM series and a mask, with names that have nothing in common"
    return as_table(words, images, labels, (), (place,))


def _share_a_folder(case: Sequence[Candidate]) -> bool:
    """Whether series lie in one folder, or in another's: a table names folders, and could not tell them apart."""
    folders = [c.source.path for c in case if c.source.series_uid]
    return any(one.is_relative_to(other) for one, other in permutations(folders, 2))


def _pattern_of(wanted: Sequence[Candidate | None], cases: Sequence[Sequence[Candidate]]) -> str | None:
    """A pattern that matches the wanted candidate of each case and no other one, the simplest first."""
    named = list(zip(*(c.names for c in wanted if c is not None), strict=False))
    for pattern in (pattern for names in named for pattern in _patterns(names)):
        matched = [[c for c in case if _matches(c, pattern)] for case in cases]
        if matched == [[c] if c is not None else [] for c in wanted]:
            return pattern
    return None


def _patterns(names: Sequence[str]) -> Iterator[str]:
    """For RS.1.2.5.dcm and RS.1.2.84.dcm: RS.*.dcm, RS.1.2.*.dcm and *.dcm."""
    if not all(names):
        return
    start, end = _common_beginning(names), _common_beginning([name[::-1] for name in names])[::-1]
    if start == end:
        yield glob.escape(start)
        return
    end = end[end.rindex(".") :] if "." in end else ""
    word = re.match(r"[^\W\d_]*[._-]?", start)
    for beginning in dict.fromkeys((word[0] if word else "", start, "")):
        fits = all(len(name) >= len(beginning) + len(end) for name in names)
        if fits:
            yield f"{glob.escape(beginning)}*{glob.escape(end)}"


def _common_beginning(names: Sequence[str]) -> str:
    shared = takewhile(lambda signs: len(set(signs)) == 1, zip(*names, strict=False))
    return "".join(signs[0] for signs in shared)


def _matches(candidate: Candidate, pattern: str) -> bool:
    """As `layouts.dicom_tree.pick` has it."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in _texts(candidate))


def _may_be_mask(candidate: Candidate) -> bool:
    """A file can be nothing else, a series has a name that says so."""
    return candidate.source.path.is_file() or any(map(is_mask_word, _texts(candidate)))


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
    """Whether the candidate of that name is a mask."""
    return _may_be_mask(next(c for c in depth.cases[0] if key in _texts(c)))


def _parts(place: Path, candidate: Candidate) -> tuple[str, ...]:
    """The folders below the root in which a candidate lies: those of a series, or of a file."""
    path = candidate.source.path
    return (path if path.is_dir() else path.parent).relative_to(place).parts
