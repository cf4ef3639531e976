"""What the masks of a data set hold: as many of them as there is time for, from all over the list."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.task import IGNORED_CLASS
from segtrain.core.words import count
from segtrain.data.formats import format_of
from segtrain.data.nrrd import segment_names
from segtrain.data.read import all_structures, drawing_of, is_structure_folder, read_labels, structures_of
from segtrain.data.recognised import some
from segtrain.data.structure_folder import structure_files

MOST_SECONDS = 20.0
"""For reading masks; `check` reads them all."""
GOLDEN = 0.6180339887498949
"""Steps of it spread over a list, wherever one stops."""


@dataclass(frozen=True)
class MaskIds:
    """What the masks hold."""

    masks: Mapping[int, int]
    """Id -> number of masks that hold it."""
    read: int
    total: int
    names: Mapping[int, str] = field(default_factory=dict)
    """Id -> name, where masks name their structures themselves (DICOM SEG, RTSTRUCT), and have no ids."""
    rare: tuple[str, ...] = ()
    """Structures that some of the masks that were read do not have."""
    unread: tuple[Problem, ...] = ()
    """Masks that cannot be used."""
    overlaps: Mapping[str, str] = field(default_factory=dict)
    """Case -> its structures that overlap, of masks that have a file a structure."""
    segments: Mapping[int, str] = field(default_factory=dict)
    """Id -> name, where masks name their ids themselves (3D Slicer)."""
    first: Mapping[int, str] = field(default_factory=dict)
    """Id -> a case whose mask holds it."""
    alone: Mapping[int, int] = field(default_factory=dict)
    """Id -> number of masks that hold no other label."""


class _Look:
    """What has been seen in masks so far."""

    def __init__(self) -> None:
        self.found: Counter[int | str] = Counter()
        self.alone: Counter[int] = Counter()
        self.empty: Counter[int | str] = Counter()
        self.first: dict[int, str] = {}
        self.segments: dict[str, tuple[int, str]] = {}
        self.overlaps: dict[str, str] = {}
        self.clashes: list[str] = []
        self.read = 0

    def at(self, case: str, label: ScanSource) -> None:
        """Take a mask in: its ids, or the names of its structures. DataError where it cannot be used."""
        if is_structure_folder(label):
            held: set[int | str] = set(structure_files(label.path))
            painted = all_structures(label.path)
            self.empty.update(held - set(painted.drawn))
            if pairs := painted.painting.overlaps:
                self.overlaps[case] = some(pairs)
        elif (drawing := drawing_of(label.path)) is not None:
            held = set(structures_of(drawing))
        else:
            ids = [int(i) for i in np.unique(read_labels(label).array)]
            held = set(ids)
            self.first = {**dict.fromkeys(ids, case), **self.first}
            foreground = [i for i in ids if i]
            self.alone.update(foreground if len(foreground) == 1 else [])
            self._name(case, segment_names(label.path) if format_of(label.path) == "nrrd" else {})
        self.found.update(held)
        self.read += 1

    def _name(self, case: str, names: Mapping[int, str]) -> None:
        """Take in what the ids of a mask are called there."""
        for i, name in names.items():
            known, where = self.segments.setdefault(name, (i, case))
            if known != i:
                self.clashes.append(f"{name} is {known} in case {where} and {i} in case {case}")


def ids_in_masks(cases: Sequence[Case], *, seconds: float = MOST_SECONDS) -> MaskIds:
    """Read masks all over the list until the time is up, at least one.

    DataError where none can be read, where they hold more different numbers than a task may have labels, or where one
    name has several ids.
    """
    end = time.monotonic() + seconds
    look = _Look()
    unread: list[Problem] = []
    for number in sorted(range(len(cases)), key=lambda place: place * GOLDEN % 1):
        label = cases[number].label
        if label is None or (look.read and time.monotonic() > end):
            continue
        try:
            look.at(cases[number].id, label)
        except DataError as error:
            unread += error.problems
            continue
        if len(look.found) > IGNORED_CLASS:
            why = f"{len(look.found)} different labels were found in {count(look.read, 'mask')}"
            hint = "masks hold a label id a voxel, and no grey values"
            raise DataError(Problem("these are no masks of labels", str(label), why, hint))
    if not look.read:
        raise DataError(*(unread or [Problem("there is no mask")]))
    return _summed(look, len(cases), unread)


def _summed(look: _Look, total: int, unread: list[Problem]) -> MaskIds:
    found, read = look.found, look.read
    if look.clashes:
        hint = "3D Slicer numbers segments in their order: export label maps with one colour table for all cases"
        raise DataError(Problem("a segment has another id in another mask", why=some(look.clashes), hint=hint))
    segments = {i: name for name, (i, _) in look.segments.items()}
    ids = {label: n for label, n in found.items() if isinstance(label, int)}
    structures = sorted(name for name in found if isinstance(name, str))
    names = dict(enumerate((name for name in structures if found[name] == read), start=1))
    rare = tuple(name for name in structures if found[name] < read)
    counts = {i: read - look.empty[name] for i, name in names.items()} if names else dict(sorted(ids.items()))
    return MaskIds(counts, read, total, names, rare, tuple(unread), look.overlaps, segments, look.first, look.alone)
