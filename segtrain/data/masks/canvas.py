"""Masks that are drawn structure by structure, as DICOM SEG, RTSTRUCT and folders of masks: names become labels.

SEG and RTSTRUCT have no voxels of their own: they need the grid of the scan. All need to know which structure is which
label, and what becomes of voxels that two structures claim.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import DataError, GridMismatch, Problem, UnreadableScan, raise_all
from segtrain.core.grid import Grid
from segtrain.core.task import Overlap, Task
from segtrain.core.volume import DicomOrigin, LabelMap
from segtrain.core.words import count
from segtrain.data.repair.slice_stack import Evened

SHOWN = 12
"""Names in one message."""
GENERIC = re.compile(r"(?:segment|seg|label|roi|structure|mask|region)?[\W_]*(\d*)", re.IGNORECASE)
"""What programs call a segment that nobody named; a number in it must be that of the segment."""


Covering = Overlap | Literal["nested"]


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
    overlap: Overlap = "refuse"
    """What becomes of voxels that several labels claim, as in `Task.overlap`."""
    evened: Evened | None = None
    """Where the slices of the scan lie on no grid: how what was drawn on them comes onto `grid`, its slots."""

    @classmethod
    def of(cls, task: Task, grid: Grid | None, case: str = "", scan: tuple[DicomOrigin, ...] = ()) -> Canvas:
        """That of a task; labels that were not drawn in this case (task.partial) are not looked for."""
        hidden = {*task.hidden_labels_in(case), *task.hidden_in(case)} if case else set()
        ids = {name: task.labels[name] for name in task.names[1:] if name not in hidden}
        drawn = dict(zip(task.structures, task.drawn, strict=True)) if task.regions else {}
        regions = {name: task.ids[place] for name, place in drawn.items() if name not in hidden}
        return cls(grid, ids, regions, scan, task.overlap)


@dataclass(frozen=True)
class Meant:
    """Which structure becomes which id, in the order in which they are drawn."""

    ids: Mapping[int, int]
    """Number of a structure -> id."""
    covering: Covering
    """Whether a structure may lie over one that was drawn before: regions do, of labels the task says it."""
    notes: tuple[str, ...] = ()


def by_names(path: Path, names: Mapping[int, str], canvas: Canvas) -> Meant:
    """Match structures (number -> name) with labels, whatever their case and with `_` for blanks.

    What is left over on one side only is said: structures that nobody wants are left out, labels without a structure
    are taken to be absent. Raises DataError where nothing matches, or where something is left over on both sides:
    then a name was perhaps written in another way.
    """
    ways: tuple[tuple[Mapping[str, int], Covering], ...] = ((canvas.ids, canvas.overlap), (canvas.regions, "nested"))
    for wanted, covering in ways:
        ids = {plain_name(name): label for name, label in wanted.items()}
        found = {number: ids[plain_name(name)] for number, name in names.items() if plain_name(name) in ids}
        left = [name for number, name in names.items() if number not in found]
        missing = [name for name, label in wanted.items() if label not in found.values()]
        if found and not (left and missing):
            ordered = sorted(found, key=lambda number: list(ids.values()).index(found[number]))
            notes = _said("left out, because no label has its name", left), _said("taken to be absent", missing)
            return Meant({n: found[n] for n in ordered}, covering, tuple(note for note in notes if note))
    raise DataError(_unmatched(path, names.values(), canvas))


def by_numbers(names: Mapping[int, str], canvas: Canvas) -> Meant | None:
    """The numbers of the structures as ids, where their names say nothing else; None otherwise.

    That is where every number is an id, and no structure has a name of its own ("Segment 1"), or where there is but one
    structure and one label. Names that are those of no label are left to `by_names`: numbers that fit may be swapped.
    """
    wanted = {plain_name(name) for name in (*canvas.ids, *canvas.regions)}
    if any(plain_name(name) in wanted for name in names.values()):
        return None
    if canvas.ids and not set(names) <= set(canvas.ids.values()):
        return None
    if len(canvas.ids) > 1 and not all(_is_generic(number, name) for number, name in names.items()):
        return None
    shown = ", ".join(f"{number} ({name})" for number, name in names.items())
    note = (f"no segment has the name of a label; their numbers are taken: {shown}",) if canvas.ids else ()
    return Meant({number: number for number in sorted(names)}, canvas.overlap, note)


def one_a_number(path: Path, named: Sequence[tuple[int, str]], kind: str) -> dict[int, str]:
    """Number -> name of the structures of a file. UnreadableScan where two share a number: whose contours are they?"""
    times = Counter(number for number, _ in named)
    problems = []
    for number in [number for number, n in times.items() if n > 1]:
        names = _some(name or "one without a name" for own, name in named if own == number)
        what = f"{times[number]} {kind}s have the number {number}: {names}"
        why = "which of them is drawn under it, nobody knows"
        problems.append(Problem(what, str(path), why, "export it again, each with a number of its own"))
    raise_all(UnreadableScan, problems)
    return dict(named)


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
        if self._meant.covering != "nested":
            for place in np.unique(before[(before != 0) & (before != own)]).tolist():
                other = self._numbers[place - 1]
                if self._meant.ids[other] != self._meant.ids[number]:
                    self._over[other, number] += int((before == place).sum())
        self._places[index] = own

    @property
    def overlaps(self) -> list[str]:
        """Pairs of labels of which one was drawn over the other, with the voxels."""
        return [f"{self._names[a]} and {self._names[b]} ({count(n, 'voxel')})" for (a, b), n in self._over.items()]

    def finished(self, grid: Grid, notes: Iterable[str] = ()) -> LabelMap:
        """The mask; where labels cover others, a note says which and how many voxels.

        Raises DataError where structures that exclude each other overlap.
        """
        pairs = self.overlaps
        if pairs and self._meant.covering == "refuse":
            hint = (
                "a voxel has one label: take one out of task.labels, name what overlaps on purpose in task.regions, or "
                "set task.overlap: later, or --overlap later of `segtrain eval --predictions` (the label with the "
                "higher id has the voxel)"
            )
            raise DataError(Problem("structures of a mask overlap", str(self._path), _some(pairs), hint))
        covered = (f"structures overlap, and the higher id has the voxels: {_some(pairs)}",) if pairs else ()
        table = np.array([0, *self._meant.ids.values()], dtype=np.int32)
        mask = LabelMap(table[self._places], grid)
        return LabelMap(mask.compact(), grid, (*self._meant.notes, *notes, *covered))


def plain_name(name: str) -> str:
    """The name by which structures and labels are matched."""
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
    hint = (
        "give each label the name of its structure in task.labels, or by --label NAME=ID of `segtrain eval "
        "--predictions`; name what was not drawn in a case in task.partial"
    )
    return Problem("structures of a mask and labels do not match by name", str(path), why, hint)
