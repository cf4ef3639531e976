"""What is done with one case, in this process or in one of several: read it, take its facts, prepare it.

A worker imports this module and little else: neither torch nor the config.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from segtrain.core.case import Case
from segtrain.core.errors import DataError, Problem
from segtrain.core.plan import Plan
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.core.words import count
from segtrain.data.plan.fingerprint import CaseFingerprint, fingerprint_case
from segtrain.data.prepare import prepare
from segtrain.data.read import Canvas, faults_of_mask, read_labels, read_volume, require_drawn
from segtrain.data.same_grid import require_same_grid
from segtrain.data.sources import SourceMemory, state_of
from segtrain.data.store import fingerprint_file, is_stored, load_fingerprint, prepared_file, save, save_fingerprint

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Fingerprinting:
    """A case whose facts are wanted."""

    case: Case
    channels: tuple[str, ...]
    task: Task
    samples: int
    store: Path | None


@dataclass(frozen=True, eq=False)
class Preparation:
    """A case that is wanted in the store."""

    case: Case
    plan: Plan
    task: Task
    store: Path


@dataclass(frozen=True, eq=False)
class Worked(Generic[T]):
    """What came of a case: a value, or the problems why there is none."""

    value: T | None
    problems: tuple[Problem, ...] = ()
    note: str | None = None
    seconds: float | None = None
    """None where it was in the store."""


def read_case(case: Case, channels: Sequence[str], task: Task) -> tuple[Volume, LabelMap | None, str | None]:
    """Image, label on the image's grid where the case has one, and a note for the reader.

    Raises DataError, with the case named, where either cannot be used.
    """
    with named(case):
        image = _read_image(case, channels, task)
        notes = (*image.notes, *_blank(image, channels))
        if case.label is None:
            return image, None, _note(case, notes)
        labels = read_labels(case.label, task, canvas=Canvas.of(task, image.grid, case.id, image.origins))
        require_drawn(case.id, labels, task)
        shifted = require_same_grid(image.grid, labels.grid, case.id, file=str(case.label))
    note = _note(case, dict.fromkeys((*notes, *labels.notes)), shifted)
    return image, LabelMap(labels.array, image.grid), note


def _read_image(case: Case, channels: Sequence[str], task: Task) -> Volume:
    """DataError where it cannot be used, and then with the faults of the mask as well: both are to be mended."""
    try:
        image = read_volume(case.images)
        require_channels(case, image, channels)
    except DataError as error:
        of_mask = () if case.label is None else faults_of_mask(case.label, task)
        raise type(error)(*error.problems, *of_mask) from error
    return image


def _blank(image: Volume, channels: Sequence[str]) -> Iterator[str]:
    """What to say of channels that show nothing: a scan may be so, and then it is most often a failed export."""
    for name, voxels in zip(channels, image.array, strict=True):
        if (value := voxels.min()) == voxels.max():
            yield f"{name} is {value:g} in every voxel"


def _note(case: Case, notes: Iterable[str], shifted: str | None = None) -> str | None:
    """What there is to say of a case, in one sentence that begins with its name."""
    found = [*notes, *([shifted.removeprefix(f"{case.id}: ")] if shifted else [])]
    return f"{case.id}: {'; '.join(found)}" if found else None


def recall_fingerprint(job: Fingerprinting) -> Worked[CaseFingerprint] | None:
    """The facts, where they are in the store and the scan is known to be unchanged."""
    source = None if job.store is None else _recalled_source(job.case, job.store)
    return None if job.store is None or source is None else _stored_fingerprint(job, job.store, source)


def make_fingerprint(job: Fingerprinting) -> Worked[CaseFingerprint]:
    """Read the scan, unless its content tells that its facts are in the store; put them there, where there is one."""
    began = time.perf_counter()
    source = ""
    try:
        with _unchanged(job.case):
            if job.store is not None:
                source = _learnt_source(job.case, job.store)
                stored = _stored_fingerprint(job, job.store, source)
                if stored is not None:
                    return stored
            image, labels, note = read_case(job.case, job.channels, job.task)
    except DataError as error:
        return Worked(None, error.problems)
    record = None if labels is None else fingerprint_case(job.case.id, image, labels, job.task, job.samples)
    if job.store is not None and record is not None:
        save_fingerprint(record, note, _file_of_fingerprint(job, job.store, source))
    return Worked(record, note=note, seconds=time.perf_counter() - began)


def recall_prepared(job: Preparation) -> Worked[Path] | None:
    """The file, where it is in the store and the scan is known to be unchanged."""
    source = _recalled_source(job.case, job.store)
    if source is None:
        return None
    file = prepared_file(job.store, job.case.id, source, job.plan, job.task)
    return Worked(file) if is_stored(file) else None


def make_prepared(job: Preparation) -> Worked[Path]:
    """Read the scan, and bring it into the store, unless its content tells that it is there."""
    began = time.perf_counter()
    case = job.case
    try:
        with _unchanged(case):
            file = prepared_file(job.store, case.id, _learnt_source(case, job.store), job.plan, job.task)
            if is_stored(file):
                return Worked(file)
            image, labels, _ = read_case(case, job.plan.channels, job.task)
        prepared = prepare(case.id, image, labels, job.plan, job.task)
    except DataError as error:
        return Worked(None, error.problems)
    if prepared.classes is None:
        return Worked(None, (Problem("a case without a label cannot train", f"case {case.id}"),))
    save(prepared, prepared.classes, file)
    return Worked(file, seconds=time.perf_counter() - began)


def _stored_fingerprint(job: Fingerprinting, store: Path, source: str) -> Worked[CaseFingerprint] | None:
    try:
        record, note = load_fingerprint(_file_of_fingerprint(job, store, source))
    except DataError:
        return None
    return Worked(record, note=note)


def _file_of_fingerprint(job: Fingerprinting, store: Path, source: str) -> Path:
    return fingerprint_file(store, job.case.id, source, job.task, (len(job.channels), job.samples))


def _recalled_source(case: Case, store: Path) -> str | None:
    """The hash of an unchanged scan; None where it is not known, or the scan is not there, which its work will tell."""
    try:
        return _memory(store).recall(case)
    except DataError:
        return None


def _learnt_source(case: Case, store: Path) -> str:
    with named(case):
        return _memory(store).learn(case)


def _memory(store: Path) -> SourceMemory:
    return SourceMemory(store / "sources")


@contextmanager
def _unchanged(case: Case) -> Iterator[None]:
    """DataError where the files of a case change while they are read: what was read would lie under another's name."""
    with named(case):
        before = state_of(case)
    yield
    with named(case):
        if state_of(case) != before:
            hint = "run the command again when nothing writes to it any more"
            raise DataError(Problem("a scan changed while it was read", str(case.images[0]), hint=hint))


def require_channels(case: Case, image: Volume, channels: Sequence[str]) -> None:
    """DataError where a scan has another number of channels than there are names: a fourth axis is channels."""
    if len(image.array) != len(channels):
        what = f"the scan has {count(len(image.array), 'channel')}, not {len(channels)} ({', '.join(channels)})"
        hint = "save one volume a file; channels are CASE_0000.nii.gz, CASE_0001.nii.gz ... named in data.channels"
        raise DataError(Problem(what, ", ".join(map(str, case.images)), hint=hint))


@contextmanager
def named(case: Case) -> Iterator[None]:
    """Name the case in what goes wrong with it."""
    try:
        yield
    except DataError as error:
        raise type(error)(*(_with_case(problem, case.id) for problem in error.problems)) from error


def _with_case(problem: Problem, case: str) -> Problem:
    if problem.where.startswith(f"case {case}"):
        return replace(problem, cases=(case,))
    where = f"case {case}, {problem.where}" if problem.where else f"case {case}"
    return replace(problem, where=where, cases=(case,))
