"""`segtrain info --augment`: one patch of a scan as training would change it, as a sheet of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segtrain.config.load import Loaded, from_python
from segtrain.config.schema import FitConfig
from segtrain.core.case import Case, ScanSource
from segtrain.core.plan import Plan
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import Change, draw, unchanged
from segtrain.data.augment.frame import frame_of
from segtrain.data.augment.motion import margin_of
from segtrain.data.cases import find_cases
from segtrain.data.files.formats import scan_name
from segtrain.data.patches import PatchSampler
from segtrain.data.plan.fingerprint import fingerprint_case
from segtrain.data.prepare import prepare
from segtrain.data.read import Canvas, kind_of, read_labels, read_volume
from segtrain.data.settings import DataSettings, PatchSettings
from segtrain.data.splits import Fold
from segtrain.data.store import StoredCase, foreground_centres
from segtrain.recipes.fitting.decide import plan_from
from segtrain.recipes.one_case import read_case
from segtrain.reports.augment_sheet import Sample, Sheet, require_picture, words_of, write_augment_sheet
from segtrain.training.devices import find_device

SHOWN = 11
"""Samples on a sheet, beside the patch as it was cut."""
MOST_TRIED = 500
"""Samples that are drawn to find so many that change anything."""
PLACE = 0
"""The sample whose patch is shown, with the changes of all others."""


OPEN_SHARE = "augmentation.share is null: a training that sees each scan less than a hundred times changes fewer"


@dataclass(frozen=True, eq=False)
class Subject:
    """A scan as the network sees it."""

    stored: StoredCase
    plan: Plan


def draw_sheet(scan: Path, sheet: Path, loaded: Loaded | None = None, mask: Path | None = None) -> dict[str, Any]:
    """Write the picture; what it shows, as plain values.

    With a config, a scan of its data has the channels and the mask that it has there; without one, settings are the
    defaults, and any number in the mask is a label. The plan is made from this scan alone.
    Raises ConfigError, DataError and ResourceError.
    """
    require_picture(sheet)
    loaded = loaded or from_python(_default_config(scan, mask))
    config = loaded.config
    subject = _subject(_case_of(scan, mask, config), loaded)
    frame = frame_of(subject.plan)
    seed = config.training.seed
    tried = {index: draw(config.augmentation, frame, seed, index) for index in range(MOST_TRIED)}
    names = config.data.channel_names
    words = {index: words_of(change, names) for index, change in tried.items()}
    chosen = [index for index in tried if words[index]][:SHOWN]
    changes: dict[int | None, Change] = {None: unchanged(frame.channels)}
    changes |= {index: tried[index] for index in chosen}
    samples = _samples(subject, config, changes)
    size = "x".join(map(str, frame.size))
    heading = f"{subject.stored.case}: a patch of {size} voxels, and what augmentation makes of it where it changes it"
    write_augment_sheet(sheet, Sheet(heading, names, config.task.names[1:], frame, samples))
    return {
        "schema_version": 1,
        "kind": "augmentation",
        "scan": str(scan),
        "sheet": str(sheet),
        "patch": list(frame.size),
        "seed": seed,
        "changed_share": sum(map(bool, words.values())) / len(words),
        "note": "" if config.augmentation.share is not None else OPEN_SHARE,
        "samples": {str(index): list(words[index]) for index in chosen},
    }


def _samples(subject: Subject, config: FitConfig, changes: dict[int | None, Change]) -> tuple[Sample, ...]:
    """One patch with each change, by the code that makes the batches of a fit."""
    frame = frame_of(subject.plan)
    sampler = PatchSampler([subject.stored], subject.plan, PatchSettings(foreground_share=1), config.training.seed)
    patches = [sampler.cut_wider(PLACE, margin_of(change.motion, frame)) for change in changes.values()]
    images, classes = apply(list(changes.values()), patches, frame, torch.device("cpu"))
    return tuple(
        Sample(index, change, image, labels)
        for (index, change), image, labels in zip(changes.items(), images.numpy(), classes.numpy(), strict=True)
    )


def _subject(case: Case, loaded: Loaded) -> Subject:
    config = loaded.config
    image, labels, _ = read_case(case, config.data.channel_names, config.task)
    labels = labels or LabelMap(np.zeros(image.grid.shape, np.uint8), image.grid)
    records = {case.id: fingerprint_case(case.id, image, labels, config.task)}
    plan = plan_from(loaded, records, Fold((case.id,), ()), find_device("auto"))
    prepared = prepare(case.id, image, labels, plan, config.task)
    if prepared.classes is None:
        raise RuntimeError("a case with a mask was prepared without one")
    centres = foreground_centres(case.id, prepared.classes)
    arrays: dict[str, NDArray[Any]] = {"image": prepared.image, "classes": prepared.classes, "centres": centres}
    return Subject(StoredCase(case.id, "", arrays, prepared.grid, prepared.native), plan)


def _case_of(scan: Path, mask: Path | None, config: FitConfig) -> Case:
    """The case of the config's data that has this scan, or one of the scan alone."""
    kind_of(scan)
    label = ScanSource(mask) if mask else None
    if config.data.labels or config.data.label:
        for case in find_cases(config.data):
            if any(source.path.resolve() == scan.resolve() for source in case.images):
                return Case(case.id, case.patient, case.images, label or case.label)
    name = scan_name(scan)
    return Case(name, name, (ScanSource(scan),), label)


def _default_config(scan: Path, mask: Path | None) -> FitConfig:
    """The defaults, for as many channels and labels as there are."""
    image = read_volume([ScanSource(scan)])
    channels = len(image.array)
    names = tuple(f"channel {place}" for place in range(channels)) if channels > 1 else ("image",)
    found = np.unique(read_labels(ScanSource(mask), canvas=Canvas(image.grid)).array).tolist() if mask else []
    ids = [label for label in found if label != 0] or [1]
    task = Task(labels={"background": 0, **{f"label {label}": label for label in ids}})
    return FitConfig(data=DataSettings(images=scan.parent, channels=names), task=task)
