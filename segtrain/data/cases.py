"""The data settings -> cases. Every fault of a data set is found before anything is raised.

A case id is the name of its files without suffix and channel number; of a DICOM case, the path of its folder
below the root with `_` for `/`. Cases come sorted by id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.data.dicom_tree import TreeCase, tree_cases
from segtrain.data.listing import Found, list_scans
from segtrain.data.nifti_header import is_nifti
from segtrain.data.settings import DataSettings

CHANNEL_NUMBER = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")
PAIRING = "image and label of a case have the same name; put files that belong to no case elsewhere"


def find_cases(settings: DataSettings) -> list[Case]:
    """Cases for training: each with all channels and a label.

    Raises ConfigError where the settings do not say where they are, DataError with every fault found.
    """
    key = "labels" if settings.layout == "folders" else "label"
    if settings.labels is None and settings.label is None:
        hint = f"set data.{key}: training needs masks"
        raise ConfigError(Problem(f"data.{key} is not set", f"data.{key}", hint=hint))
    return _find(settings)


def find_scans(settings: DataSettings) -> list[Case]:
    """Cases to predict, as `find_cases`; `label` is None where the settings name no labels.

    New scans may be named in another way: without a match of `patient_from`, PatientID or the case is the patient.
    """
    return _find(settings, named_patients=False)


def mask_files(folder: Path) -> dict[str, Path]:
    """NIfTI masks of a folder by case id, sorted. Raises DataError."""
    problems: list[Problem] = []
    found = list_scans(folder, problems) or {}
    for scan in found.values():
        if not is_nifti(scan.source.path):
            hint = "masks that are scored are .nii or .nii.gz files"
            problems.append(Problem("this is no NIfTI mask", str(scan.source.path), hint=hint))
    raise_all(DataError, problems)
    return {name: scan.source.path for name, scan in found.items()}


def relocated(settings: DataSettings, images: Path, labels: Path | None) -> DataSettings:
    """The same layout at another place, as evaluation and prediction need it.

    dicom: `images` is the new root. `labels` None leaves the labels out; equal to `images`, the settings' own
    pattern finds them in the tree; another folder holds `<case>.nii.gz`. A folder of NIfTI files is read as
    such, whatever the layout was.
    """
    values = settings.model_dump()
    if settings.layout == "folders":
        return DataSettings.model_validate({**values, "images": images, "labels": labels})
    if images.is_dir() and any(is_nifti(p) for p in images.iterdir() if not p.name.startswith(".")):
        flat = {"layout": "folders", "root": None, "label": None, "channels": settings.channel_names, "case": "*"}
        return DataSettings.model_validate({**values, **flat, "images": images, "labels": labels})
    in_tree = labels is not None and labels.resolve() == images.resolve()
    places = {"label": settings.label if in_tree else None, "labels": None if in_tree else labels}
    return DataSettings.model_validate({**values, "root": images, **places})


def _find(settings: DataSettings, *, named_patients: bool = True) -> list[Case]:
    problems: list[Problem] = []
    images = (_tree if settings.layout == "dicom" else _channels)(settings, problems)
    labels = _label_folder(settings, images, problems)
    if images is None:
        raise DataError(*problems)
    if settings.labels is not None and labels is not None:
        problems += _unpaired(images, labels)
    unnamed = problems if named_patients else []
    cases = [
        Case(name, _patient(settings, name, case, unnamed), case.images, _label(name, case, labels))
        for name, case in sorted(images.items())
    ]
    raise_all(DataError, problems)
    return cases


def _label(name: str, case: TreeCase, labels: Mapping[str, Found] | None) -> ScanSource | None:
    if labels is None:
        return case.label
    return labels[name].source if name in labels else None


def _tree(settings: DataSettings, problems: list[Problem]) -> dict[str, TreeCase] | None:
    if settings.root is None:
        hint = "set data.root to the folder of the DICOM tree"
        raise ConfigError(Problem("data.root is not set", "data.root", hint=hint))
    return tree_cases(settings, settings.root, problems)


def _channels(settings: DataSettings, problems: list[Problem]) -> dict[str, TreeCase] | None:
    """Files of a folder, grouped into cases by their channel number."""
    if settings.images is None:
        raise ConfigError(Problem("data.images is not set", "data.images", hint="set it to the folder of the scans"))
    scans = list_scans(settings.images, problems)
    if scans is None:
        return None
    names = settings.channel_names
    if len(names) == 1:
        return {name: TreeCase((s.source,), None, s.patient) for name, s in _without_number(scans).items()}
    groups: dict[str, dict[int, Found]] = {}
    for name, scan in scans.items():
        match = CHANNEL_NUMBER.fullmatch(name)
        if match is None or int(match["number"]) >= len(names):
            why = f"its name does not end in _0000 to _{len(names) - 1:04} (channels: {', '.join(names)})"
            problems.append(Problem("a scan is no channel of the data set", str(scan.source), why))
        else:
            groups.setdefault(match["case"], {})[int(match["number"])] = scan
    for case, group in groups.items():
        for number in sorted(set(range(len(names))) - set(group)):
            what = f"case {case} has no channel {names[number]}"
            problems.append(Problem(what, str(settings.images), f"there is no {case}_{number:04}.nii.gz"))
    return {
        case: TreeCase(tuple(group[n].source for n in sorted(group)), None, next(iter(group.values())).patient)
        for case, group in groups.items()
    }


def _without_number(scans: dict[str, Found]) -> dict[str, Found]:
    """Names without `_0000`, where all of them have it."""
    if not all(name.endswith("_0000") and len(name) > 5 for name in scans):
        return scans
    return {name.removesuffix("_0000"): scan for name, scan in scans.items()}


def _label_folder(
    settings: DataSettings, images: Mapping[str, TreeCase] | None, problems: list[Problem]
) -> dict[str, Found] | None:
    """Labels by case id; they may carry `_0000` where no image id does so itself."""
    if settings.labels is None:
        return None
    labels = list_scans(settings.labels, problems)
    if labels is None or images is None or set(labels) & set(images):
        return labels
    return _without_number(labels)


def _unpaired(images: Mapping[str, TreeCase], labels: Mapping[str, Found]) -> list[Problem]:
    alone = [
        Problem(f"image {name} has no label", str(images[name].images[0]), hint=PAIRING)
        for name in sorted(set(images) - set(labels))
    ]
    return alone + [
        Problem(f"label {name} has no image", str(labels[name].source), hint=PAIRING)
        for name in sorted(set(labels) - set(images))
    ]


def _patient(settings: DataSettings, name: str, case: TreeCase, problems: list[Problem]) -> str:
    """By the regular expression on the case id, else PatientID (as a pseudonym), else the case itself."""
    if settings.patient_from is None:
        return case.patient or name
    try:
        match = re.search(settings.patient_from, name)
    except re.error as error:
        what = "data.patient_from is no regular expression"
        raise ConfigError(Problem(what, "data.patient_from", str(error), 'for example "(P\\d+)_"')) from error
    patient = match and (match[1] if match.re.groups else match[0])
    if not patient:
        why = f"data.patient_from is {settings.patient_from!r}"
        problems.append(Problem(f"no patient can be found in the case id {name}", why=why))
    return patient or case.patient or name
