"""dataset.json of the Medical Segmentation Decathlon and of nnU-Net, whose first version took it over.

Decathlon, nnU-Net 1    modality {"0": "MRI"}, labels {"0": "background", "1": "liver"}, training [{image, label}]
nnU-Net 2               channel_names {"0": "T2"}, labels {"background": 0, "whole": [1, 2], "ignore": 3},
                        regions_class_order [1, 2], file_ending, numTraining, dataset {case: {images, label}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segtrain.core.errors import Problem
from segtrain.core.task import Task

NAME = "dataset.json"
MOST_BYTES = 64_000_000
IGNORE = "ignore"


@dataclass(frozen=True)
class Entry:
    """A case that the file names: its files as they are written there."""

    name: str
    """Its id; "" where that is the name of its image."""
    images: tuple[str, ...]
    label: str | None


@dataclass(frozen=True)
class DatasetJson:
    """What a dataset.json says of its data set."""

    path: Path
    channels: tuple[str, ...]
    labels: Mapping[str, int]
    """Name -> id, the background with id 0 among them; a region that is one label is a label."""
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name -> ids of nnU-Net's regions, in its order; empty where labels exclude each other."""
    drawn: tuple[int, ...] = ()
    """The id that each region becomes in a mask: regions_class_order."""
    ignore: int | None = None
    file_ending: str = ".nii.gz"
    announced: int | None = None
    """numTraining."""
    entries: tuple[Entry, ...] | None = None
    """None where it names no files."""


def read_dataset_json(root: Path, problems: list[Problem]) -> DatasetJson | None:
    """The dataset.json of a folder; None where it is none, which goes to `problems`."""
    path = root / NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES} bytes")
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
        return _parsed(path, value)
    except FileNotFoundError:
        hint = "data.root is the folder that holds dataset.json"
        problems.append(Problem(f"there is no {NAME}", str(root), hint=hint))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        hint = "it has channel_names (or modality) and labels, as nnU-Net and the Decathlon write them"
        problems.append(Problem(f"{NAME} cannot be understood", str(path), why, hint))
    return None


def label_faults(declared: DatasetJson, task: Task) -> Iterator[Problem]:
    """Where a config's task and the data set's own dataset.json name other labels: one of them is wrong."""
    hint = f"write task.labels as {NAME} has them, or mend {NAME}"
    ids = {*declared.labels.values(), *(i for region in declared.regions.values() for i in region)}
    for name, label in declared.labels.items():
        own = task.labels.get(name)
        if label and not declared.regions and own != label:
            there = f"{name} is no label of the task" if own is None else f"the task has {name}: {own}"
            yield Problem(f"{NAME} has the label {name}: {label}", str(declared.path), there, hint)
    for name, members in declared.regions.items():
        own_region = {task.labels[label] for label in (task.regions or {}).get(name, ())}
        if own_region != set(members):
            told = _listed(sorted(own_region)) or "no such region"
            what = f"{NAME} has the region {name}: {_listed(members)}"
            yield Problem(what, str(declared.path), f"the task has {told}", hint.replace("labels", "regions"))
    order = tuple(task.ids[index] for index in task.drawn) if task.regions else ()
    if tuple(task.regions or ()) == tuple(declared.regions) and order != declared.drawn:
        why = f"it draws the regions as {_listed(declared.drawn)}, the task as {_listed(order)}"
        fix = "list the regions from the largest to the smallest, and their ids in the same order"
        yield Problem(f"regions_class_order of {NAME} is not that of the task", str(declared.path), why, fix)
    for name, label in task.labels.items():
        if label not in ids and label:
            yield Problem(f"{NAME} has no label of the id {label}", str(declared.path), f"task.labels has {name}", hint)
    if declared.ignore != task.ignore:
        told = f"{NAME} has {declared.ignore}, the task {task.ignore}".replace("None", "none")
        fix = f"set task.ignore: {'null' if declared.ignore is None else declared.ignore}"
        yield Problem("two ids are ignored voxels", str(declared.path), told, fix)


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids))


def _parsed(path: Path, value: Any) -> DatasetJson:
    """Raises ValueError, TypeError or LookupError where a part has another form."""
    if not isinstance(value, dict):
        raise TypeError("it is not a group of keys")
    labels, regions = _labels_of(value["labels"])
    ignore = labels.pop(IGNORE, None)
    if 0 not in labels.values():
        labels = {"background": 0, **labels}
    order = tuple(_id(i) for i in value.get("regions_class_order") or ())
    if regions and len(order) != len(regions):
        raise ValueError(f"regions_class_order has {len(order)} ids for {len(regions)} regions")
    number = value.get("numTraining")
    return DatasetJson(
        path=path,
        channels=_channels(value["channel_names"] if "channel_names" in value else value["modality"]),
        labels=labels,
        regions=regions,
        drawn=order if regions else (),
        ignore=ignore,
        file_ending=str(value.get("file_ending", ".nii.gz")),
        announced=None if number is None else _id(number),
        entries=_entries(value),
    )


def _labels_of(value: Any) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Labels by name, and the regions where some entry is a list: then every foreground entry is one."""
    if not isinstance(value, dict):
        raise TypeError("labels is not a group of keys")
    inverted = all(str(key).strip().isdigit() for key in value)
    pairs = [(str(v), k) for k, v in value.items()] if inverted else list(value.items())
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"labels: two ids have the name {', '.join(twice)}")
    single = {name: _id(v) for name, v in pairs if not isinstance(v, list)}
    if len(single) == len(pairs):
        return single, {}
    regions = {name: tuple(_id(i) for i in (v if isinstance(v, list) else [v])) for name, v in pairs}
    plain = {name: i for name, i in single.items() if i == 0 or name == IGNORE}
    regions = {name: ids for name, ids in regions.items() if name not in plain and ids != (0,)}
    return {**plain, **{name: ids[0] for name, ids in regions.items() if len(ids) == 1}}, regions


def _id(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _channels(value: Any) -> tuple[str, ...]:
    """Names by number; those that are there twice get their number."""
    if isinstance(value, str):
        value = {"0": value}
    if not isinstance(value, dict) or not value:
        raise TypeError("channel_names (modality) is not a group of keys")
    by_number = {_id(key): str(name) for key, name in value.items()}
    if sorted(by_number) != list(range(len(by_number))):
        raise ValueError(f"channels have the numbers {', '.join(map(str, sorted(by_number)))}, not 0, 1 and so on")
    names = [by_number[n] for n in range(len(by_number))]
    return tuple(f"{name}_{n}" if names.count(name) > 1 else name for n, name in enumerate(names))


def _entries(value: Mapping[str, Any]) -> tuple[Entry, ...] | None:
    if isinstance(value.get("dataset"), dict):
        listed = value["dataset"].items()
        return tuple(Entry(name, tuple(map(str, e["images"])), _label(e.get("label"))) for name, e in listed)
    training = value.get("training")
    if not isinstance(training, list) or not training:
        return None
    if not all(isinstance(e, dict) and "image" in e for e in training):
        raise ValueError("training is not a list of {image, label}")
    return tuple(Entry("", (str(e["image"]),), _label(e.get("label"))) for e in training)


def _label(value: Any) -> str | None:
    return None if value is None else str(value)
