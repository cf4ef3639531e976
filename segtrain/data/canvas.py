"""Masks that were drawn on a scan, as DICOM SEG and RTSTRUCT are: structures with names, that become a label map.

Such a file has no voxels of its own. It needs the grid of the scan, and to know which structure is which label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import DataError, GridMismatch, Problem
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import DicomOrigin, LabelMap

SHOWN = 12
"""Names in one message."""
GENERIC = re.compile(r"(?:segment|seg|label|roi|structure|mask|region)?[\W_]*(\d*)", re.IGNORECASE)
"""What programs call a segment that nobody named; a number in it must be that of the segment."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """What a drawn mask is drawn on, and by which names."""

    grid: Grid | None
    """Of the scan; None where there is none, which only a SEG can do without."""
    ids: Mapping[str, int] = field(default_factory=dict)
    """Label -> id, without the background. Empty: the numbers of the structures are the ids."""
    regions: Mapping[str, int] = field(default_factory=dict)
    """Region -> the id that it is drawn with, over those before it. For files that have regions, and not labels."""
    scan: tuple[DicomOrigin, ...] = ()
    """The series of the scan, by channel; empty where it was not read from DICOM."""

    @classmethod
    def of(cls, task: Task, grid: Grid | None, case: str = "", scan: tuple[DicomOrigin, ...] = ()) -> Canvas:
        """That of a task; labels that were not drawn in this case (task.partial) are not looked for."""
        hidden = {*task.hidden_labels_in(case), *task.hidden_in(case)} if case else set()
        ids = {name: task.labels[name] for name in task.names[1:] if name not in hidden}
        drawn = dict(zip(task.structures, task.drawn, strict=True)) if task.regions else {}
        return cls(grid, ids, {name: task.ids[place] for name, place in drawn.items() if name not in hidden}, scan)


@dataclass(frozen=True)
class Meant:
    """Which structure becomes which id, in the order in which they are drawn."""

    ids: Mapping[int, int]
    """Number of a structure -> id."""
    may_cover: bool
    """Whether a structure may lie over one that was drawn before: regions do, labels exclude each other."""
    notes: tuple[str, ...] = ()


def by_names(path: Path, names: Mapping[int, str], canvas: Canvas) -> Meant:
    """Match structures (number -> name) with labels, whatever their case and with `_` for blanks.

    What is left over on one side only is said: structures that nobody wants are left out, labels without a structure
    are taken to be absent. Raises DataError where nothing matches, or where something is left over on both sides:
    then a name was perhaps written in another way.
    """
    for wanted, may_cover in ((canvas.ids, False), (canvas.regions, True)):
        ids = {_plain(name): label for name, label in wanted.items()}
        found = {number: ids[_plain(name)] for number, name in names.items() if _plain(name) in ids}
        left = [name for number, name in names.items() if number not in found]
        missing = [name for name, label in wanted.items() if label not in found.values()]
        if found and not (left and missing):
            ordered = sorted(found, key=lambda number: list(ids.values()).index(found[number]))
            notes = _said("left out, because no label has its name", left), _said("taken to be absent", missing)
            return Meant({n: found[n] for n in ordered}, may_cover, tuple(note for note in notes if note))
    raise DataError(_unmatched(path, names.values(), canvas))


def by_numbers(names: Mapping[int, str], canvas: Canvas) -> Meant | None:
    """The numbers of the structures as ids, where their names say nothing else; None otherwise.

    That is where every number is an id, and no structure has a name of its own ("Segment 1"), or where there is but one
    structure and one label. Names that are those of no label are left to `by_names`: numbers that fit may be swapped.
    """
    wanted = {_plain(name) for name in (*canvas.ids, *canvas.regions)}
    if any(_plain(name) in wanted for name in names.values()):
        return None
    if canvas.ids and not set(names) <= set(canvas.ids.values()):
        return None
    if len(canvas.ids) > 1 and not all(_is_generic(number, name) for number, name in names.items()):
        return None
    shown = ", ".join(f"{number} ({name})" for number, name in names.items())
    note = (f"no segment has the name of a label; their numbers are taken: {shown}",) if canvas.ids else ()
    return Meant({number: number for number in names}, False, note)


def require_drawn_on_scan(path: Path, canvas: Canvas, *, frames: Iterable[str], series: Iterable[str]) -> list[str]:
    """Compare the UIDs that a mask gives of its frame of reference and of the series it was drawn on with the scan's.

    Another series is a note: often the mask was drawn on a sister of the scan. What either does not say is not
    compared. Raises GridMismatch for another frame of reference, in which equal positions are other places.
    """
    own, theirs = {origin.frame_uid for origin in canvas.scan}, set(frames) - {""}
    if canvas.scan and "" not in own and not theirs <= own:
        why = f"its frame of reference is {_some(sorted(theirs - own))}, that of the scan {_some(sorted(own))}"
        hint = "find the scan that it was drawn on; a scan that was registered to it can be given as NIfTI"
        raise GridMismatch(Problem("the mask was drawn in another frame of reference", str(path), why, hint))
    named = set(series) - {""}
    if canvas.scan and named and named.isdisjoint(origin.series_uid for origin in canvas.scan):
        return ["the mask says that it was drawn on another series than this scan"]
    return []


class Painting:
    """A label map that grows structure by structure, and keeps count of what would be drawn over what."""

    def __init__(self, path: Path, names: Mapping[int, str], meant: Meant, grid: Grid) -> None:
        self._path, self._names, self._meant = path, names, meant
        self._numbers = list(meant.ids)
        # Places in that list, from 1: the numbers of a file may be any, 0 and negative ones too.
        self._places = np.zeros(grid.shape, dtype=np.min_scalar_type(len(meant.ids)))
        self._over: Counter[tuple[int, int]] = Counter()

    def draw(self, number: int, at: NDArray[np.intp]) -> None:
        """Give the voxels at these indices (3, N) to a structure that is meant."""
        index, own = (at[0], at[1], at[2]), self._numbers.index(number) + 1
        before = self._places[index]
        if not self._meant.may_cover:
            for place in np.unique(before[(before != 0) & (before != own)]).tolist():
                other = self._numbers[place - 1]
                if self._meant.ids[other] != self._meant.ids[number]:
                    self._over[other, number] += int((before == place).sum())
        self._places[index] = own

    def finished(self, grid: Grid, notes: Iterable[str] = ()) -> LabelMap:
        """The mask. Raises DataError where structures that exclude each other overlap."""
        if self._over:
            pairs = [f"{self._names[a]} and {self._names[b]} ({n} voxels)" for (a, b), n in self._over.items()]
            hint = "a voxel has one label: name overlapping structures in task.regions, or take one out of task.labels"
            raise DataError(Problem("structures of a mask overlap", str(self._path), _some(pairs), hint))
        table = np.array([0, *self._meant.ids.values()], dtype=np.int32)
        mask = LabelMap(table[self._places], grid)
        return LabelMap(mask.compact(), grid, (*self._meant.notes, *notes))


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "_", name.strip()).casefold()


def _is_generic(number: int, name: str) -> bool:
    found = GENERIC.fullmatch(name.strip())
    return found is not None and found[1] in ("", str(number))


def _said(what: str, names: Sequence[str]) -> str:
    return f"{what}: {_some(names)}" if names else ""


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def _unmatched(path: Path, names: Iterable[str], canvas: Canvas) -> Problem:
    wanted = _some([*canvas.ids, *canvas.regions]) or "nothing"
    why = f"the file has {_some(names) or 'none'}; the task has {wanted}"
    hint = "give each label the name of its structure in task.labels; name what was not drawn in a case in task.partial"
    return Problem("structures of a mask and labels do not match by name", str(path), why, hint)
