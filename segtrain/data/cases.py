"""The data settings -> cases. Every fault of a data set is found before anything is raised.

Training needs all cases: one fault refuses the data. To predict or to score, a case that cannot be used is named, and
the others are done. Cases come sorted by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.data.faults import Faults
from segtrain.data.layouts.by_name import cases_in
from segtrain.data.layouts.folders import label_folder
from segtrain.data.layouts.listing import Found, FoundCase, holds_scan_files, list_masks
from segtrain.data.patients import patient_in, unnamed_patient
from segtrain.data.settings import DataSettings

PAIRING = "image and label of a case have the same name: add what is missing, or put this file elsewhere"
PLACE_KEYS = ("images", "labels", "table", "root", "case", "label")
"""Settings that say where scans are."""
PATIENT_KEY = "data.patient_from"


@dataclass(frozen=True)
class Scans:
    """Cases to predict, and what is there and cannot be used."""

    cases: tuple[Case, ...]
    faults: tuple[tuple[str, Problem], ...] = ()
    """Case and why; a label without an image is one too."""
    unsound: tuple[Case, ...] = ()
    """Cases with a fault, as far as they were put together: one to look at, and not to use."""

    def require_all(self) -> None:
        """Raise a DataError with every fault."""
        raise_all(DataError, (problem for _, problem in self.faults))


@dataclass(frozen=True)
class Masks:
    """Masks by case, and what else is in their folder and cannot be used."""

    files: Mapping[str, Path]
    faults: tuple[tuple[str, Problem], ...] = ()
    """Case and why."""


def find_cases(settings: DataSettings) -> list[Case]:
    """Cases for training: each with all channels and a label.

    Raises ConfigError where the settings do not say where they are, DataError with every fault found.
    """
    _require_labels(settings)
    faults = Faults()
    cases = _find(settings, faults, named_patients=True, labelled=True)
    raise_all(DataError, faults.problems)
    return cases


def find_scans(settings: DataSettings, images: Path, labels: Path | None = None) -> Scans:
    """Cases to predict, in the layout of the settings at another place; without `labels` none has a label.

    With `labels`, a case that has none is a fault. New scans may be named in another way: without a match of
    `patient_from`, the files or the case tell the patient. Raises ConfigError, and DataError where no case can be used.
    """
    faults = Faults()
    cases = _find(_relocated(settings, images, labels), faults, named_patients=False, labelled=labels is not None)
    if labels is None:
        cases = [Case(case.id, case.patient, case.images) for case in cases]
    return _sound(cases, faults)


def sound_cases(settings: DataSettings) -> Scans:
    """As `find_cases`, with the faults beside the cases that have none. DataError where no case is sound."""
    found = judged_cases(settings)
    if not found.cases or any(not case for case, _ in found.faults):
        raise DataError(*([problem for _, problem in found.faults] or [Problem("there is no case")]))
    return found


def judged_cases(settings: DataSettings) -> Scans:
    """As `sound_cases`, for those who list every fault: also where no case is sound, or a fault costs them all.

    Raises ConfigError where the settings do not say where the cases are.
    """
    _require_labels(settings)
    faults = Faults()
    cases = _find(settings, faults, named_patients=True, labelled=True)
    sound = tuple(case for case in cases if case.id not in faults)
    return Scans(sound, tuple(faults), tuple(case for case in cases if case.id in faults))


def _require_labels(settings: DataSettings) -> None:
    key = {"folders": "labels", "dicom": "label", "bids": "label"}.get(settings.layout)
    if key and settings.labels is None and settings.label is None:
        hint = f"set data.{key}: training needs masks"
        raise ConfigError(Problem(f"data.{key} is not set", f"data.{key}", hint=hint))


def mask_files(folder: Path) -> Masks:
    """What lies in a folder of masks, sorted by case. DataError where no mask is there."""
    faults = Faults()
    found = list_masks(folder, faults) or {}
    files = {name: scan.source.path for name, scan in found.items() if name not in faults}
    if not files or "" in faults:
        raise DataError(*(faults.problems or [Problem("there is no mask", str(folder))]))
    return Masks(files, tuple(faults))


def _relocated(settings: DataSettings, images: Path, labels: Path | None) -> DataSettings:
    """The same layout at another place, as evaluation and prediction need it.

    `images` is the new root or table. `labels` equal to it are those that the layout itself has; another folder holds
    `<case>.nii.gz`. A folder of scan files is read as such, whatever the layout was.
    """
    values = settings.model_dump()
    if settings.layout == "folders":
        return DataSettings.model_validate({**values, "images": images, "labels": labels})
    if images.is_dir() and holds_scan_files(images):
        there = {name: field.default for name, field in DataSettings.model_fields.items() if name in PLACE_KEYS}
        flat = {**there, "layout": "folders", "channels": settings.channel_names, "images": images, "labels": labels}
        return DataSettings.model_validate({**values, **flat})
    if settings.layout == "table" and not images.is_file():
        what = "there is no table of scans" if images.is_dir() else "there is no such folder or table"
        hint = "name a CSV as the run was trained from: `segtrain init DIR` writes one; or a folder of scan files"
        raise DataError(Problem(what, str(images), hint=hint))
    place: dict[str, str | Path | None] = {"table" if settings.layout == "table" else "root": images}
    in_tree = labels is not None and labels.resolve() == images.resolve()
    if settings.layout == "dicom":
        place |= {"label": settings.label if in_tree else None, "labels": None if in_tree else labels}
    elif labels is not None and not in_tree:
        what = f"layout: {settings.layout} says itself where its masks are"
        hint = "give the same place for labels, or a folder of scans and a folder of masks"
        raise ConfigError(Problem(what, str(labels), hint=hint))
    return DataSettings.model_validate({**values, **place})


def _sound(cases: list[Case], faults: Faults) -> Scans:
    """The cases without a fault. DataError where there are none, or a fault costs them all."""
    sound = tuple(case for case in cases if case.id not in faults)
    if not sound or "" in faults:
        raise DataError(*(faults.problems or [Problem("there is no case")]))
    return Scans(sound, tuple(faults))


def _find(settings: DataSettings, faults: Faults, *, named_patients: bool, labelled: bool) -> list[Case]:
    """Every case that its layout has, also with faults of its own; none where a fault says why."""
    found = cases_in(settings, faults)
    labels = None if settings.labels is None else label_folder(settings.labels, found, faults)
    if found is None:
        return []
    paired = {name: _label(name, case, labels) for name, case in found.items()}
    for name, case in found.items():
        faults.of(name).extend(_strangers(name, case, (labels or {}).get(name)))
    missing = settings.labels is not None and labels is None  # the folder, which is told once
    for name in sorted(found):
        if labelled and paired[name] is None and name not in faults and not missing:
            where = str(found[name].images[0])
            faults.of(name).append(Problem(f"image {name} has no label", where, hint=PAIRING))
    for name in sorted(set(labels or ()) - set(found)):
        if name not in faults and labels:
            where = str(labels[name].source)
            faults.of(name).append(Problem(f"label {name} has no image", where, hint=PAIRING))
    unnamed = faults if named_patients else Faults()
    patients = {name: _patient(settings, name, case, unnamed) for name, case in sorted(found.items())}
    if named_patients:
        faults.of().extend(_divided(found, patients))
    return [Case(name, patients[name], found[name].images, paired[name]) for name in patients]


def _strangers(name: str, case: FoundCase, label: Found | None) -> Iterator[Problem]:
    """A fault where the images and the label of one case name several patients."""
    patients = sorted({*case.in_files, *([label.patient] if label and label.patient else [])})
    if len(patients) > 1:
        why = f"their PatientIDs differ (shown as {', '.join(patients)})"
        hint = "find the files that belong together; where the numbers were changed on purpose, write one into both"
        files = [str(source) for source in (*case.images, label.source if label else case.label) if source]
        yield Problem("the files of a case are of several patients", f"case {name}, {', '.join(files)}", why, hint)


def _divided(found: Mapping[str, FoundCase], patients: Mapping[str, str]) -> Iterator[Problem]:
    """Patients that the files or the table tell, and that `patient_from` takes for several.

    Where all cases would be of one patient, that is what a program that took the names away wrote, and tells nothing.
    """
    if len({case.patient for case in found.values()}) < 2:
        return
    first: dict[str, str] = {}
    for name, patient in patients.items():
        known = found[name].patient
        other = first.setdefault(known, name) if known else name
        if patients[other] != patient:
            why = f"by their own data they are of one patient, data.patient_from says {patients[other]} and {patient}"
            hint = (
                "change data.patient_from, or leave it out; if the data are wrong, a table (data.table) says it better"
            )
            what, both = "two cases of one patient are taken for two patients", (other, name)
            yield Problem(what, f"cases {' and '.join(both)}", why, hint, both)


def _label(name: str, case: FoundCase, labels: Mapping[str, Found] | None) -> ScanSource | None:
    if labels is None:
        return case.label
    return labels[name].source if name in labels else None


def _patient(settings: DataSettings, name: str, case: FoundCase, faults: Faults) -> str:
    """By the regular expression on the case id, else what the files or the table say, else the case itself."""
    if settings.patient_from is None:
        return case.patient or name
    patient = patient_in(name, settings.patient_from, PATIENT_KEY)
    if patient is None:
        faults.of(name).append(unnamed_patient(name, settings.patient_from, PATIENT_KEY))
    return patient or case.patient or name
