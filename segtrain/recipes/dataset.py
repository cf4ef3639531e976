"""Cases -> fingerprint -> prepared cases: the part of a recipe that reads scans."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TypeVar

from segtrain.core.case import Case
from segtrain.core.errors import DataError, Problem, raise_all
from segtrain.core.events import CasePrepared, Note
from segtrain.core.plan import Plan
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.fingerprint import CaseFingerprint, fingerprint_case
from segtrain.data.prepare import prepare
from segtrain.data.read import read_labels, read_volume, require_same_grid
from segtrain.data.store import folder_of, is_stored, save

Reading = CasePrepared | Note
T = TypeVar("T")


def read_case(case: Case, channels: Sequence[str], task: Task) -> tuple[Volume, LabelMap | None, str | None]:
    """Image, label on the image's grid where the case has one, and a note for the reader.

    Raises DataError, with the case named, where either cannot be used.
    """
    try:
        image = read_volume(case.images)
        _require_channels(case, image, channels)
        if case.label is None:
            return image, None, None
        labels = read_labels(case.label, task)
    except DataError as error:
        raise type(error)(*(_named(problem, case.id) for problem in error.problems)) from error
    note = require_same_grid(image.grid, labels.grid, case.id)
    return image, LabelMap(labels.array, image.grid), note


def fingerprint_all(
    cases: Sequence[Case], channels: Sequence[str], task: Task
) -> Generator[Reading, None, dict[str, CaseFingerprint]]:
    """Read every case once; case id -> its facts. Raises one DataError with the faults of all cases."""
    records: dict[str, CaseFingerprint] = {}
    problems: list[Problem] = []
    for case in cases:
        try:
            image, labels, note = read_case(case, channels, task)
        except DataError as error:
            problems.extend(error.problems)
            continue
        if labels is not None:
            records[case.id] = fingerprint_case(case.id, image, labels, task)
        if note:
            yield Note(note)
    raise_all(DataError, problems)
    return records


def result_of(work: Generator[Reading, None, T]) -> T:
    """What a generator returns, for those who do not watch it."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


def prepare_all(
    cases: Sequence[Case], plan: Plan, task: Task, store: Path
) -> Generator[Reading, None, dict[str, Path]]:
    """Bring every case into the store, skipping what is there; case id -> its folder, for `data.store.load`."""
    folders: dict[str, Path] = {}
    for number, case in enumerate(cases, start=1):
        folder = folders[case.id] = folder_of(store, case, plan, task)
        if not is_stored(folder):
            image, labels, _ = read_case(case, plan.channels, task)
            prepared = prepare(case.id, image, labels, plan, task)
            if prepared.classes is None:
                raise DataError(Problem("a case without a label cannot train", f"case {case.id}"))
            save(prepared, prepared.classes, folder)
        yield CasePrepared(case.id, number, len(cases))
    return folders


def _require_channels(case: Case, image: Volume, channels: Sequence[str]) -> None:
    """DataError where a scan has another number of channels than there are names: a fourth axis is channels."""
    if len(image.array) != len(channels):
        what = f"the scan has {len(image.array)} channels, not {len(channels)} ({', '.join(channels)})"
        hint = "save one volume a file; channels are CASE_0000.nii.gz, CASE_0001.nii.gz ... named in data.channels"
        raise DataError(Problem(what, ", ".join(map(str, case.images)), hint=hint))


def _named(problem: Problem, case: str) -> Problem:
    where = f"case {case}, {problem.where}" if problem.where else f"case {case}"
    return Problem(problem.what, where, problem.why, problem.hint)
