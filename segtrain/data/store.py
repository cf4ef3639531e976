"""Prepared cases on the disk, read by patch through memory-mapped arrays.

A case is one folder: `image.npy`, `classes.npy`, `foreground.npy` (voxels of each class to centre patches on)
and `case.json`, which is written last: a folder without it was cut short and is made anew. The folder's name
carries a hash of the source files, the task and the plan, so a changed scan is never mistaken for the old one.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import Problem, UnreadableScan
from segtrain.core.files import disk_errors, read_json, write_json
from segtrain.core.grid import Grid
from segtrain.core.plan import Plan
from segtrain.core.seeds import generator
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.data.dicom_headers import list_series
from segtrain.data.prepare import PreparedCase

STORE_VERSION = 1
"""Raised when what a prepared case holds changes."""
CENTRES_PER_CLASS = 2_000
"""Voxels of each class that patches may be centred on."""


@dataclass(frozen=True, eq=False)
class StoredCase:
    """A prepared case whose arrays stay on the disk until they are read."""

    case: str
    key: str
    """Changes with the scan, the task and the preparation."""
    image: NDArray[np.float32]
    classes: NDArray[np.uint8]
    centres: NDArray[np.int32]
    """(n, 4): class, x, y, z."""
    grid: Grid
    native: Grid


def source_hash(case: Case) -> str:
    """sha256 over the bytes of all files that a case is read from, and which series they are.

    Raises UnreadableScan.
    """
    digest = hashlib.sha256()
    for source in [*case.images, *([case.label] if case.label else [])]:
        digest.update(source.series_uid.encode())
        for file in _files_of(source):
            digest.update(hashlib.sha256(_bytes_of(file)).digest())
    return digest.hexdigest()


def folder_of(store: Path, case: Case, plan: Plan, task: Task) -> Path:
    """Where a prepared case lies: its name changes with the scan, the task and the preparation."""
    parts = f"{STORE_VERSION}/{source_hash(case)}/{plan.preparation_hash}/{task.model_dump_json()}"
    return store / f"{case.id}-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"


def is_stored(folder: Path) -> bool:
    """Whether a whole prepared case lies there."""
    return (folder / "case.json").is_file()


def save(prepared: PreparedCase, classes: NDArray[np.uint8], folder: Path) -> None:
    """Write a prepared case; a folder that was cut short is replaced."""
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        np.save(folder / "image.npy", prepared.image)
        np.save(folder / "classes.npy", classes)
        np.save(folder / "foreground.npy", foreground_centres(prepared.case, classes))
    grids = {"grid": prepared.grid.to_json(), "native": prepared.native.to_json()}
    write_json(folder / "case.json", {"case": prepared.case, **grids})


def load(folder: Path) -> StoredCase:
    """Open a stored case; nothing but its header is read yet."""
    about = read_json(folder / "case.json")
    return StoredCase(
        case=about["case"],
        key=folder.name.rpartition("-")[2],
        image=np.load(folder / "image.npy", mmap_mode="r"),
        classes=np.load(folder / "classes.npy", mmap_mode="r"),
        centres=np.load(folder / "foreground.npy"),
        grid=Grid.from_json(about["grid"]),
        native=Grid.from_json(about["native"]),
    )


def foreground_centres(case: str, classes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(n, 4) rows of class, x, y, z: up to `CENTRES_PER_CLASS` voxels of each foreground class."""
    rows = []
    for label in np.unique(classes):
        if label in (0, IGNORED_CLASS):
            continue
        places = np.argwhere(classes == label)
        rng = generator(0, "centres", case, int(label))
        chosen = rng.choice(len(places), size=min(CENTRES_PER_CLASS, len(places)), replace=False)
        rows.append(np.column_stack([np.full(len(chosen), label), places[np.sort(chosen)]]))
    return np.concatenate(rows).astype(np.int32) if rows else np.zeros((0, 4), dtype=np.int32)


def _files_of(source: ScanSource) -> list[Path]:
    """The file, or the slices of the series that is meant, wherever below the folder they lie."""
    if not source.path.is_dir():
        return [source.path]
    meant = (s for s in list_series(source.path) if source.series_uid in ("", s.uid))
    return sorted(file for series in meant for file in series.files)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        hint = "check the path and its permissions"
        raise UnreadableScan(Problem("a scan cannot be read", str(file), error.strerror or str(error), hint)) from error
