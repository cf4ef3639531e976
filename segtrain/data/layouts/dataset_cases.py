"""A folder with a dataset.json -> cases: nnU-Net's raw data sets, and tasks of the Medical Segmentation Decathlon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.words import count
from segtrain.data.faults import Faults
from segtrain.data.files.formats import VOLUMES, format_of
from segtrain.data.inside import is_below, path_below
from segtrain.data.layouts.case_table import is_case_id
from segtrain.data.layouts.dataset_json import NAME, DatasetJson, Entry, read_dataset_json
from segtrain.data.layouts.folders import CHANNEL_NUMBER
from segtrain.data.layouts.listing import Found, FoundCase, is_there, named_in, scan_at, scan_name
from segtrain.data.settings import DataSettings

IMAGES, LABELS = "imagesTr", "labelsTr"


def nnunet_cases(settings: DataSettings, faults: Faults) -> dict[str, FoundCase] | None:
    """imagesTr and labelsTr by nnU-Net's names, or the files that the key `dataset` names; version 1 or 2."""
    return _cases(settings, faults, _of_dataset_key_or_names)


def decathlon_cases(settings: DataSettings, faults: Faults) -> dict[str, FoundCase] | None:
    """The pairs of the list `training`; the fourth axis of an image is its channels."""
    return _cases(settings, faults, _of_training)


def _cases(
    settings: DataSettings, faults: Faults, entries_of: Callable[[DatasetJson, Faults], list[Entry]]
) -> dict[str, FoundCase] | None:
    root = settings.root
    if root is None:
        raise ConfigError(Problem("data.root is not set", "data.root", hint=f"set it to the folder with {NAME}"))
    declared = read_dataset_json(root, faults.of())
    if declared is None:
        return None
    faults.of().extend(_channel_faults(declared, settings))
    entries = entries_of(declared, faults)
    cases: dict[str, FoundCase] = {}
    for entry in entries:
        name = entry.name or _name_of(entry)
        problems = faults.of(name)
        if name in cases:
            problems.append(Problem(f"case {name} is there twice", str(declared.path), hint="keep one of them"))
        elif not is_case_id(name):
            problems.append(Problem(f"{name!r} is no case id", str(declared.path), hint="a case id names files"))
        found = _found(entry, declared, root, problems)
        if not problems:
            cases[name] = found
    if not faults.problems and declared.announced not in (None, len(cases)):
        why = f"numTraining is {declared.announced}, and the folders hold {count(len(cases), 'case')}"
        faults.of().append(Problem(f"{NAME} and the files do not agree", str(declared.path), why, f"mend {NAME}"))
    if not entries and not faults.problems:
        faults.of().append(Problem("the data set holds no case", str(root), hint=f"{IMAGES} holds the scans"))
    return cases


def _channel_faults(declared: DatasetJson, settings: DataSettings) -> Iterator[Problem]:
    if declared.channels != settings.channel_names:
        why = f"data.channels is [{', '.join(settings.channel_names)}], {NAME} has [{', '.join(declared.channels)}]"
        hint = f"write data.channels: [{', '.join(declared.channels)}]"
        yield Problem(f"the channels are not those of {NAME}", str(declared.path), why, hint)


def _of_training(declared: DatasetJson, faults: Faults) -> list[Entry]:
    if declared.entries is None:
        hint = "a folder of nnU-Net, whose files it does not list, is layout: nnunet"
        faults.of().append(Problem(f"{NAME} has no list `training`", str(declared.path), hint=hint))
    return list(declared.entries or ())


def _of_dataset_key_or_names(declared: DatasetJson, faults: Faults) -> list[Entry]:
    """By the names of the files, unless each entry says its id: version 1 lists names that no file has."""
    if declared.entries is not None and all(entry.name for entry in declared.entries):
        return list(declared.entries)
    root = declared.path.parent
    names = _names_in(root, IMAGES, declared, faults)
    labels = set(_names_in(root, LABELS, declared, faults))
    groups: dict[str, set[int]] = {}
    for name in names:
        match = CHANNEL_NUMBER.fullmatch(name)
        if match is None or int(match["number"]) >= len(declared.channels):
            why = f"its name does not end in _0000 to _{len(declared.channels) - 1:04}"
            what = "a scan is no channel of the data set"
            faults.of(match["case"] if match else name).append(Problem(what, str(root / IMAGES / name), why))
        else:
            groups.setdefault(match["case"], set()).add(int(match["number"]))
    ending, numbers = declared.file_ending, range(len(declared.channels))
    for name in sorted(labels - set(groups)):
        where, why = str(root / LABELS / f"{name}{ending}"), f"{IMAGES} has no {name}_0000{ending}"
        faults.of(name).append(Problem(f"label {name} has no image", where, why))
    return [
        Entry(
            case,
            tuple(f"{IMAGES}/{case}_{number:04}{ending}" for number in numbers),
            f"{LABELS}/{case}{ending}" if case in labels else None,
        )
        for case in sorted(groups)
    ]


def _names_in(root: Path, folder: str, declared: DatasetJson, faults: Faults) -> list[str]:
    """Names without the ending of the files of a folder that have it, sorted."""
    place, problems = root / folder, faults.of()
    if not place.is_dir():
        problems.append(Problem("there is no such folder", str(place), hint="nnU-Net keeps scans and masks there"))
        return []
    if not is_below(root, place, problems):
        return []
    ending = declared.file_ending
    files = sorted(path.name for path in place.iterdir() if not path.name.startswith("."))
    found = [name.removesuffix(ending) for name in files if name.endswith(ending)]
    others = [name for name in files if not name.endswith(ending) and format_of(place / name) in VOLUMES]
    if found and others:
        why, hint = f"{NAME} says file_ending: {ending}", "convert them, or move them out of this folder"
        what = f"there are scans with another ending, as {others[0]}"
        faults.of(others[0]).append(Problem(what, str(place), why, hint))
    if files and not found:
        hint = f"set file_ending in {NAME}"
        problems.append(Problem(f"no file ends in {ending!r}", str(place), f"there is {files[0]}", hint))
    return found


def _name_of(entry: Entry) -> str:
    """The name of its image without suffix, and without a channel number, if that is 0."""
    return scan_name(Path(entry.images[0].rpartition("/")[2])).removesuffix("_0000") if entry.images else ""


def _found(entry: Entry, declared: DatasetJson, root: Path, problems: list[Problem]) -> FoundCase:
    """The files of a case; what is missing, or leads out of the root, goes to `problems`."""
    images = [_scan(root, name, declared, problems) for name in entry.images]
    label = None if entry.label is None else _scan(root, entry.label, declared, problems)
    if len(entry.images) not in (1, len(declared.channels)):
        why = f"{count(len(entry.images), 'image')}, {count(len(declared.channels), 'channel')}"
        problems.append(Problem("a case has another number of images", str(declared.path), why))
    sources, patients = tuple(s.source for s in images if s), named_in([*images, label])
    return FoundCase(sources, label.source if label else None, min(patients, default=""), patients)


def _scan(root: Path, name: str, declared: DatasetJson, problems: list[Problem]) -> Found | None:
    path = path_below(root, name, str(declared.path), problems)
    if path is None:
        return None
    if not is_there(path):
        problems.append(Problem("a file is missing", str(path), f"{NAME} or the names of its channels ask for it"))
        return None
    before = len(problems)
    found = scan_at(path, problems)
    if found is None and len(problems) == before:
        problems.append(Problem("no reader knows this kind of file", str(path), hint="convert it to .nii.gz"))
    return found
