"""Which labels a data set has: ids from its masks, names from a file beside them or its dataset.json."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.core.wrong_values import problems_of
from segtrain.data.dataset_json import NAME, DatasetJson
from segtrain.data.label_names import find_names
from segtrain.data.read import drawing_of, read_labels, structures_of

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


@dataclass(frozen=True)
class GuessedTask:
    """A task, and where it comes from."""

    task: Task
    sentences: tuple[str, ...]


def ids_in_masks(cases: Sequence[Case], *, seconds: float = MOST_SECONDS) -> MaskIds:
    """Read masks all over the list until the time is up, at least one.

    DataError where none can be read, or where they hold more different numbers than a task may have labels.
    """
    end = time.monotonic() + seconds
    found: Counter[int | str] = Counter()
    unread: list[Problem] = []
    read = 0
    for number in sorted(range(len(cases)), key=lambda place: place * GOLDEN % 1):
        label = cases[number].label
        if label is None or (read and time.monotonic() > end):
            continue
        try:
            found.update(_held_by(label))
        except DataError as error:
            unread += error.problems
            continue
        read += 1
        if len(found) > IGNORED_CLASS:
            why = f"{len(found)} different labels were found in {read} masks"
            hint = "masks hold a label id a voxel, and no grey values"
            raise DataError(Problem("these are no masks of labels", str(label), why, hint))
    if not read:
        raise DataError(*(unread or [Problem("there is no mask")]))
    ids = {label: count for label, count in found.items() if isinstance(label, int)}
    structures = sorted(name for name in found if isinstance(name, str))
    names = dict(enumerate((name for name in structures if found[name] == read), start=1))
    rare = tuple(name for name in structures if found[name] < read)
    counts = dict.fromkeys(names, read) if names else dict(sorted(ids.items()))
    return MaskIds(counts, read, len(cases), names, rare, tuple(unread))


def _held_by(label: ScanSource) -> set[int | str]:
    """The ids of a mask; of a drawing, the names of its structures."""
    drawing = drawing_of(label.path)
    if drawing is not None:
        return set(structures_of(drawing))
    return {int(i) for i in np.unique(read_labels(label).array)}


def guess_task(ids: MaskIds, declared: DatasetJson | None, folders: Iterable[Path]) -> GuessedTask:
    """The labels of dataset.json, or else the ids of the masks, under the names of a file, or under their numbers."""
    if declared is not None:
        return _declared_task(ids, declared)
    if ids.names:
        return _drawn_task(ids)
    named = find_names(list(folders))
    names = dict(named[1]) if named else {}
    wanted = {*ids.masks} - {0}
    if ids.read < ids.total and len(wanted | set(names)) < IGNORED_CLASS:
        wanted |= set(names) - {0}
    only = "foreground" if len(wanted) == 1 else ""
    labels = {names.get(i) or only or f"label_{i}": i for i in sorted(wanted)}
    source = f"names from {named[0].name}" if named else "nobody has said how the labels are called: rename them"
    unnamed = sorted(wanted - set(names))
    said = [f"{source}; {', '.join(map(str, unnamed))} have none there"] if named and unnamed else [source]
    if not wanted:
        raise DataError(Problem("no mask holds a label", why=f"every voxel of {ids.read} masks is 0"))
    return GuessedTask(_task("the masks", labels), tuple(said))


def _drawn_task(ids: MaskIds) -> GuessedTask:
    """The structures that every mask names."""
    labels = {name: i for i, name in ids.names.items()}
    said = ["labels are the structures that every mask has"]
    if ids.rare:
        said.append(f"no label, because some masks lack it: {', '.join(ids.rare)}")
    return GuessedTask(_task("the masks", labels), tuple(said))


def _declared_task(ids: MaskIds, declared: DatasetJson) -> GuessedTask:
    """Labels and regions as dataset.json has them. DataError where regions cannot be drawn one over the other."""
    named = {label: name for name, label in declared.labels.items()}
    members = sorted({label for region in declared.regions.values() for label in region})
    labels = dict(declared.labels) | {f"label_{i}": i for i in members if i not in named}
    by_id = {label: name for name, label in labels.items()}
    regions = {name: tuple(by_id[i] for i in region) for name, region in declared.regions.items()}
    with _usable(str(declared.path)):
        task = Task(labels=labels, regions=regions or None, ignore=declared.ignore)
    strange = sorted(ids.masks.keys() - {*task.ids, task.ignore})
    said = [f"labels from {NAME}"]
    if strange:
        said.append(f"masks hold ids that {NAME} does not name: {', '.join(map(str, strange))}")
    return GuessedTask(task, tuple(said))


def _task(where: str, labels: Mapping[str, int]) -> Task:
    with _usable(where):
        return Task(labels={_free("background", labels): 0, **labels})


@contextmanager
def _usable(where: str) -> Iterator[None]:
    """DataError where labels that were found make no task: too many, or with ids beyond 32 bits."""
    try:
        yield
    except ValidationError as error:
        raise DataError(*problems_of(error, Task, where)) from error


def _free(name: str, labels: Mapping[str, int]) -> str:
    """`name`, or the same with an underscore where a label is called so."""
    return name if name not in labels else _free(f"{name}_", labels)
