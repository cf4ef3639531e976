"""Two folders, images and labels -> cases: a case id is the name of its files without suffix and channel number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from segtrain.core.errors import ConfigError, Problem
from segtrain.data.faults import Faults
from segtrain.data.layouts.listing import Found, FoundCase, list_masks, list_scans, named_in
from segtrain.data.settings import DataSettings

CHANNEL_NUMBER = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")


def folder_cases(settings: DataSettings, faults: Faults) -> dict[str, FoundCase] | None:
    """Cases of `settings.images` without labels; None where the folder cannot be used.

    Several channels are files with a number each, or all in one 4D file where no file has a number.
    """
    if settings.images is None:
        raise ConfigError(Problem("data.images is not set", "data.images", hint="set it to the folder of the scans"))
    own = Faults()
    scans = list_scans(settings.images, own)
    names = settings.channel_names
    numbered = len(names) > 1 and any(map(CHANNEL_NUMBER.fullmatch, scans or ()))
    plain = {} if scans is None or numbered else without_number(scans)
    for scan, problem in own:
        match = CHANNEL_NUMBER.fullmatch(scan) if numbered or not set(plain) & set(scans or ()) else None
        faults.of(match["case"] if match else scan).append(problem)
    if scans is None:
        return None
    if numbered:
        return _grouped(scans, names, settings.images, faults)
    return {name: FoundCase((s.source,), None, s.patient, named_in([s])) for name, s in plain.items()}


def label_folder(folder: Path, images: Mapping[str, FoundCase] | None, faults: Faults) -> dict[str, Found] | None:
    """Labels by case id; they may carry `_0000` where no image id does so itself. None where there is no folder."""
    own = Faults()
    labels = list_masks(folder, own)
    for name, problem in own:
        faults.of(name).append(problem)
    if labels is None or images is None or set(labels) & set(images):
        return labels
    return without_number(labels)


def without_number(scans: Mapping[str, Found]) -> dict[str, Found]:
    """Names without `_0000`, where all of them have it."""
    if not all(name.endswith("_0000") and len(name) > 5 for name in scans):
        return dict(scans)
    return {name.removesuffix("_0000"): scan for name, scan in scans.items()}


def _grouped(scans: Mapping[str, Found], names: tuple[str, ...], folder: Path, faults: Faults) -> dict[str, FoundCase]:
    """Files with a channel number, put together into cases."""
    groups: dict[str, dict[int, Found]] = {}
    for name, scan in scans.items():
        match = CHANNEL_NUMBER.fullmatch(name)
        if match is None or int(match["number"]) >= len(names):
            why = f"its name does not end in _0000 to _{len(names) - 1:04} (channels: {', '.join(names)})"
            problem = Problem("a scan is no channel of the data set", str(scan.source), why)
            faults.of(match["case"] if match else name).append(problem)
        else:
            groups.setdefault(match["case"], {})[int(match["number"])] = scan
    for case, group in groups.items():
        for number in sorted(set(range(len(names))) - set(group)):
            what = f"case {case} has no channel {names[number]}"
            faults.of(case).append(Problem(what, str(folder), f"there is no {case}_{number:04}.nii.gz"))
    cases = {}
    for case, group in groups.items():
        patients = named_in(group.values())
        images = tuple(group[number].source for number in sorted(group))
        cases[case] = FoundCase(images, None, min(patients, default=""), patients)
    return cases
