"""What the masks of a data set hold: as many of them as there is time for, from all over the list."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, Problem, raise_all
from segtrain.core.task import IGNORED_CLASS
from segtrain.core.words import count
from segtrain.data.files.formats import format_of
from segtrain.data.files.nrrd import segment_names
from segtrain.data.masks.canvas import GENERIC, plain_name
from segtrain.data.read import all_structures, drawing_of, is_structure_folder, read_labels, structures_of
from segtrain.data.recognise.recognised import some
from segtrain.data.structure_folder import structure_files

MOST_SECONDS = 20.0
"""For reading masks; `check` reads them all."""
GOLDEN = 0.6180339887498949
"""Steps of it spread over a list, wherever one stops."""
ONE_TABLE = "3D Slicer numbers segments in their order: export label maps with one colour table for all cases"
ONE_NAME = "if these are names of one structure, give it one, or write task.labels yourself"


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


@dataclass(frozen=True)
class _Segment:
    """What the mask of a case calls an id."""

    id: int
    name: str
    case: str


class _Look:
    """What has been seen in masks so far."""

    def __init__(self) -> None:
        self.found: Counter[int | str] = Counter()
        self.alone: Counter[int] = Counter()
        self.empty: Counter[int | str] = Counter()
        self.first: dict[int, str] = {}
        self.by_name: dict[str, _Segment] = {}
        self.by_id: dict[int, _Segment] = {}
        self.overlaps: dict[str, str] = {}
        self.several_ids: list[str] = []
        self.several_names: list[str] = []
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
        """Take in what the ids of a mask are called there; a name that nobody gave, as Segment_1, is none of an id."""
        for i, name in names.items():
            here = _Segment(i, name, case)
            known = self.by_name.setdefault(plain_name(name), here)
            if known.id != i:
                self.several_ids.append(f"{name} is {known.id} in case {known.case} and {i} in case {case}")
            elif not GENERIC.fullmatch(name.strip()):
                known = self.by_id.setdefault(i, here)
                if plain_name(known.name) != plain_name(name):
                    self.several_names.append(f"{i} is {known.name} in case {known.case} and {name} in case {case}")

    @property
    def segments(self) -> dict[int, str]:
        """Id -> name; one that somebody gave rather than one of the program."""
        return {found.id: found.name for found in (*self.by_name.values(), *self.by_id.values())}

    def clashes(self) -> list[Problem]:
        """What keeps ids from being one label each in all masks."""
        told: list[Problem] = []
        if self.several_ids:
            what = "a segment has another id in another mask"
            told.append(Problem(what, why=some(self.several_ids), hint=ONE_TABLE))
        if self.several_names:
            what, hint = "an id has another name in another mask", f"{ONE_TABLE}; {ONE_NAME}"
            told.append(Problem(what, why=some(self.several_names), hint=hint))
        return told


def spread(total: int) -> list[int]:
    """All places of a list, each far from those before it: wherever one stops, they are from all over the list."""
    return sorted(range(total), key=lambda place: place * GOLDEN % 1)


def ids_in_masks(cases: Sequence[Case], *, seconds: float = MOST_SECONDS) -> MaskIds:
    """Read masks all over the list until the time is up, at least one.

    DataError where none can be read, where they hold more different numbers than a task may have labels, where one name
    has several ids, or one id several names.
    """
    end = time.monotonic() + seconds
    look = _Look()
    unread: list[Problem] = []
    for number in spread(len(cases)):
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
    raise_all(DataError, look.clashes())
    ids = {label: n for label, n in found.items() if isinstance(label, int)}
    structures = sorted(name for name in found if isinstance(name, str))
    names = dict(enumerate((name for name in structures if found[name] == read), start=1))
    rare = tuple(name for name in structures if found[name] < read)
    counts = {i: read - look.empty[name] for i, name in names.items()} if names else dict(sorted(ids.items()))
    more = (look.overlaps, look.segments, look.first, look.alone)
    return MaskIds(counts, read, total, names, rare, tuple(unread), *more)
