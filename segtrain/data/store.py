"""What was made of cases, on the disk: prepared cases, read by patch, and fingerprints.

A case is one file, which comes to be whole. Its name carries a hash of the source files, the task and the plan, so a
changed scan is never mistaken for the old one, and one store serves many runs, at the same time too: two that make
the same file write the same into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import ResourceError
from segtrain.core.files import shortened
from segtrain.core.grid import Grid
from segtrain.core.plan import Plan
from segtrain.core.seeds import generator
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.data.array_file import MappedArrays, is_whole, read_checked_arrays, write_arrays, write_checked_arrays
from segtrain.data.plan.fingerprint import CaseFingerprint
from segtrain.data.prepare import PreparedCase

STORE_VERSION = 2
"""Raised when what a prepared case holds changes."""
FACTS_VERSION = 4
"""Raised when what is written of a case's facts changes."""
CENTRES_PER_CLASS = 2_000
"""Voxels of each class that patches may be centred on."""
SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class StoredCase:
    """A prepared case whose arrays stay on the disk: each look maps them anew, and keeps nothing in memory."""

    case: str
    key: str
    """Changes with the scan, the task and the preparation."""
    arrays: Mapping[str, NDArray[Any]]
    """image, classes and centres."""
    grid: Grid
    native: Grid

    @property
    def image(self) -> NDArray[np.float32]:
        """(channels, X, Y, Z), read-only."""
        return self.arrays["image"]

    @property
    def classes(self) -> NDArray[np.uint8]:
        """(X, Y, Z), read-only."""
        return self.arrays["classes"]

    @property
    def centres(self) -> NDArray[np.int32]:
        """(n, 4): class, x, y, z."""
        return self.arrays["centres"]


def prepared_file(store: Path, case: str, source: str, plan: Plan, task: Task) -> Path:
    """Where a prepared case lies; `source` is the hash of what it is read from."""
    return store / _name(case, source, plan.preparation_hash, _classes_of(task, case))


def prepared_key(case: str, source: str, plan: Plan, task: Task) -> str:
    """The `StoredCase.key` of such a file."""
    return _key(prepared_file(Path(), case, source, plan, task))


def fingerprint_file(store: Path, case: str, source: str, task: Task, sampled: tuple[int, int]) -> Path:
    """Where the facts of a case lie; `sampled` are the number of channels and of samples."""
    return (
        store
        / "fingerprints"
        / _name(case, source, f"{FACTS_VERSION}/{sampled[0]}/{sampled[1]}", _classes_of(task, case))
    )


def is_stored(file: Path) -> bool:
    """Whether a whole file lies there."""
    return is_whole(file)


def save(prepared: PreparedCase, classes: NDArray[np.uint8], file: Path) -> None:
    """Write a prepared case. Raises ResourceError."""
    centres = foreground_centres(prepared.case, classes)
    arrays: dict[str, NDArray[Any]] = {"image": prepared.image, "classes": classes, "centres": centres}
    grids = {"grid": prepared.grid.to_json(), "native": prepared.native.to_json()}
    with _or_the_same(file):
        write_arrays(file, arrays, {"case": prepared.case, **grids})


def load(file: Path) -> StoredCase:
    """Open a stored case; nothing but its header is read. Raises DataError where it is not whole."""
    arrays = MappedArrays(file)
    about = arrays.about
    grid, native = Grid.from_json(about["grid"]), Grid.from_json(about["native"])
    return StoredCase(about["case"], _key(file), arrays, grid, native)


def save_fingerprint(record: CaseFingerprint, note: str | None, file: Path) -> None:
    """Write the facts of a case, with what its reader should know. Raises ResourceError."""
    told = {"minimum": record.minimum, "content": record.content, "instances": sorted(record.instances), "note": note}
    about = {"case": record.case, "grid": record.grid.to_json(), **told}
    with _or_the_same(file):
        write_checked_arrays(file, {"samples": record.foreground_samples}, about)


def load_fingerprint(file: Path) -> tuple[CaseFingerprint, str | None]:
    """The facts of a case, and the note. Raises DataError where the file is not what was written."""
    arrays, about = read_checked_arrays(file)
    grid, minimum = Grid.from_json(about["grid"]), tuple(about["minimum"])
    content, instances = tuple(about["content"]), frozenset(about["instances"])
    return CaseFingerprint(about["case"], grid, minimum, arrays["samples"], content, instances), about["note"]


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


def _classes_of(task: Task, case: str) -> str:
    """What of a task decides the class of a voxel, and which labels the mask must not have."""
    seldom = [name for name, usual in (("regions", None), ("overlap", "refuse")) if getattr(task, name) != usual]
    texts = (task.model_dump_json(include={name}) for name in seldom)  # the others have the keys they always had
    decisive = task.model_dump_json(include={"labels", "ignore"})
    return "/".join((decisive, *texts, *task.hidden_labels_in(case)))


def _key(file: Path) -> str:
    return file.stem.rpartition("-")[2]


def _name(case: str, *parts: str) -> str:
    begins = shortened(case)
    text = "/".join((str(STORE_VERSION), *parts, *([] if begins == case else [case])))
    return f"{begins}-{hashlib.sha256(text.encode()).hexdigest()[:12]}{SUFFIX}"


@contextmanager
def _or_the_same(file: Path) -> Iterator[None]:
    """Windows lets nobody replace a file that another run reads; it holds the same then."""
    try:
        yield
    except ResourceError:
        if not is_whole(file):
            raise
