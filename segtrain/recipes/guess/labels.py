"""Which labels a data set has: the ids in its masks, under the names of a file beside them or of its dataset.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from segtrain.core.errors import DataError, Problem
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.core.words import count
from segtrain.core.wrong_values import problems_of
from segtrain.data.layouts.dataset_json import NAME, DatasetJson
from segtrain.data.masks.label_names import find_names
from segtrain.recipes.guess.masks import MaskIds
from segtrain.recipes.guess.odd_ids import odd_ids


@dataclass(frozen=True)
class GuessedTask:
    """A task, and where it comes from."""

    task: Task
    sentences: tuple[str, ...]


def guess_task(ids: MaskIds, declared: DatasetJson | None, folders: Iterable[Path]) -> GuessedTask:
    """The labels of dataset.json, or else the ids of the masks, under the names of a file, or under their numbers."""
    if declared is not None:
        return _declared_task(ids, declared)
    if ids.names:
        return _drawn_task(ids)
    named = find_names(list(folders))
    names = dict(named[1]) if named else dict(ids.segments)
    odd = odd_ids(ids, names)
    wanted = {*ids.masks} - {0, odd.ignore, *odd.left_out}
    if ids.read < ids.total and len(wanted | set(names)) < IGNORED_CLASS:
        wanted |= set(names) - {0}
    only = "foreground" if len(wanted) == 1 else ""
    labels = {names.get(i) or only or f"label_{i}": i for i in sorted(wanted)}
    where = named[0].name if named else "the masks themselves"
    source = f"names from {where}" if names else "nobody has said how the labels are called: rename them"
    unnamed = sorted(wanted - set(names))
    said = [f"{source}; {', '.join(map(str, unnamed))} have none there"] if names and unnamed else [source]
    if not wanted:
        raise DataError(Problem("no mask holds a label", why=f"every voxel is 0 in {count(ids.read, 'mask')}"))
    task = _task("the masks", labels)
    return GuessedTask(task.model_copy(update={"ignore": odd.ignore}), (*said, *odd.sentences))


def _drawn_task(ids: MaskIds) -> GuessedTask:
    """The structures that every mask names."""
    labels = {name: i for i, name in ids.names.items()}
    said = ["labels are the structures that every mask has"]
    if ids.rare:
        said.append(f"no label, because some masks lack it: {', '.join(ids.rare)}")
    if not ids.overlaps:
        return GuessedTask(_task("the masks", labels), tuple(said))
    case, pairs = next(iter(ids.overlaps.items()))
    said.append(
        f"structures overlap in {len(ids.overlaps)} of {count(ids.read, 'mask')} (case {case}: {pairs}): "
        "overlap: later gives such voxels to the label with the higher id; change the ids, or leave labels out"
    )
    return GuessedTask(_task("the masks", labels).model_copy(update={"overlap": "later"}), tuple(said))


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
