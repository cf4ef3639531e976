"""How the cases of a data set lie on the disk: one function for each layout that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.task import Task
from segtrain.core.words import count
from segtrain.data.faults import Faults
from segtrain.data.layouts.bids import bids_cases
from segtrain.data.layouts.case_table import table_cases
from segtrain.data.layouts.dataset_cases import decathlon_cases, nnunet_cases
from segtrain.data.layouts.dataset_json import label_faults, read_dataset_json
from segtrain.data.layouts.dicom_tree import MOST_OPENED, scans_outside, tree_cases
from segtrain.data.layouts.folders import folder_cases
from segtrain.data.layouts.listing import FoundCase
from segtrain.data.settings import DataSettings, Layout

Finder = Callable[[DataSettings, Faults], Mapping[str, FoundCase] | None]


def _dicom_cases(settings: DataSettings, faults: Faults) -> Mapping[str, FoundCase] | None:
    if settings.root is None:
        hint = "set data.root to the folder of the DICOM tree"
        raise ConfigError(Problem("data.root is not set", "data.root", hint=hint))
    return tree_cases(settings, settings.root, faults)


FINDERS: Mapping[Layout, Finder] = {
    "folders": folder_cases,
    "table": table_cases,
    "nnunet": nnunet_cases,
    "decathlon": decathlon_cases,
    "bids": bids_cases,
    "dicom": _dicom_cases,
}

HAVE_DATASET_JSON = ("nnunet", "decathlon")
SHOWN = 3
"""Files in one sentence."""


def cases_in(settings: DataSettings, faults: Faults) -> dict[str, FoundCase] | None:
    """Cases by id, as their layout has them, sound ones only; None where the place holds none.

    Faults go under their case. Raises ConfigError where the settings do not say where the data are.
    """
    found = FINDERS[settings.layout](settings, faults)
    return None if found is None else dict(found)


def passed_over(settings: DataSettings) -> str | None:
    """What lies among the data, looks like scans and belongs to no case, in a sentence; None where there is nothing.

    In a DICOM tree nothing else tells that data.case is too deep for a patient. Other layouts either list their files,
    or call what they cannot use a fault. It lists folders, and opens `dicom_tree.MOST_OPENED` files at most. Raises
    ConfigError as `cases_in`.
    """
    if settings.layout != "dicom" or settings.root is None or not settings.root.is_dir():
        return None
    outside = scans_outside(settings, settings.root)
    found, place = outside.scans, f"below data.root in no folder of a case (data.case: {settings.case!r})"
    were = "was" if outside.unopened == 1 else "were"
    others = f"; {count(outside.unopened, 'more file')} whose name tells nothing {were} not opened"
    unopened = others if outside.unopened else ""
    if not found:
        return f"{MOST_OPENED} files {place} are no scans{unopened}" if unopened else None
    names = ", ".join(str(path.relative_to(settings.root)) for path in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{count(len(found), 'file')} {place}, and left out though they look like scans: {names}{more}{unopened}"


def declared_label_faults(settings: DataSettings, task: Task) -> list[Problem]:
    """Where the task names other labels than the data set's own dataset.json, if it has one."""
    unread: list[Problem] = []
    if settings.layout not in HAVE_DATASET_JSON or settings.root is None:
        return []
    declared = read_dataset_json(settings.root, unread)
    return [] if declared is None else list(label_faults(declared, task))
