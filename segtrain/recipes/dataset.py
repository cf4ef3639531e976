"""Cases -> fingerprints -> prepared cases: the part of a recipe that reads scans.

Each case is a piece of work of its own, done in this process where scans are few and small, in several elsewhere. What
was made before is taken from the store. A case that cannot be used is named, with all others, when the rest is done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from segtrain.core.case import Case
from segtrain.core.errors import DataError, Problem, ResourceError, raise_all
from segtrain.core.events import CasePrepared, CaseRead, CheckpointSaved, Event, Note
from segtrain.core.files import remove_abandoned
from segtrain.core.machine import available_ram_bytes, usable_cores
from segtrain.core.plan import Plan
from segtrain.core.task import Task
from segtrain.data.plan.fingerprint import CaseFingerprint, samples_per_case
from segtrain.data.sources import size_bytes
from segtrain.execution.workers import Died, each
from segtrain.recipes.one_case import (
    Fingerprinting,
    Preparation,
    Worked,
    make_fingerprint,
    make_prepared,
    recall_fingerprint,
    recall_prepared,
)
from segtrain.recipes.run_folder import RunFolder, append_log
from segtrain.recipes.scoring.repeated import Repeated

Reading = CaseRead | CasePrepared | Note
T = TypeVar("T")
Job = TypeVar("Job", Fingerprinting, Preparation)

SECONDS_A_CASE, SECONDS_A_MEGABYTE = 0.02, 0.1
"""About what one process takes for a case: beside its voxels, and for each megabyte of its files."""
PROCESSES_PAY_SECONDS = 6.0
"""To start processes takes a second or two; for less work than this it is not worth it."""
MOST_PROCESSES = 8
RAM_PER_BYTE = 40
"""Of a file, while its case is prepared: unpacked up to five times as large, in float32 twice that, in some copies."""


def fingerprint_all(
    cases: Sequence[Case],
    channels: Sequence[str],
    task: Task,
    *,
    store: Path | None = None,
    workers: int | None = None,
) -> Generator[Reading, None, dict[str, CaseFingerprint]]:
    """Read every case once, unless `store` has its facts; case id -> its facts. `workers` as in the settings.

    Raises one DataError with the faults of all cases.
    """
    samples = samples_per_case(len(cases))
    jobs = [Fingerprinting(case, tuple(channels), task, samples, store) for case in cases]
    found = yield from _all(jobs, recall_fingerprint, make_fingerprint, CaseRead, workers)
    return {case.id: record for case in cases if (record := found[case.id]) is not None}


def fingerprint_readable(
    cases: Sequence[Case], channels: Sequence[str], task: Task, *, workers: int | None = None
) -> Generator[Reading, None, tuple[dict[str, CaseFingerprint], list[Problem]]]:
    """As `fingerprint_all` without a store, for those who report: the facts of who can be read, and all faults."""
    jobs = [Fingerprinting(case, tuple(channels), task, samples_per_case(len(cases)), None) for case in cases]
    found, _ = yield from _each(jobs, recall_fingerprint, make_fingerprint, CaseRead, workers)
    records = {case.id: record for case in cases if (record := found[case.id].value) is not None}
    return records, _faults(jobs, found)


def prepare_all(
    cases: Sequence[Case], plan: Plan, task: Task, store: Path, *, workers: int | None = None
) -> Generator[Reading, None, dict[str, Path]]:
    """Bring every case into the store, unless it is there; case id -> its file, for `data.store.load`.

    Raises one DataError with the faults of all cases; those without are in the store then.
    """
    remove_abandoned(store)
    jobs = [Preparation(case, plan, task, store) for case in cases]
    found = yield from _all(jobs, recall_prepared, make_prepared, CasePrepared, workers)
    return {case.id: file for case in cases if (file := found[case.id]) is not None}


def result_of(work: Generator[Reading, None, T]) -> T:
    """What a generator returns, for those who do not watch it."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found


def logged(folder: RunFolder, work: Generator[Event, None, T]) -> Generator[Event, None, T]:
    """The same events; notes, and each case that was read or prepared with its seconds, add a line to log.jsonl."""
    with closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                found: T = end.value
                return found
            if isinstance(event, CaseRead | CasePrepared) and event.seconds is not None:
                kind = "read" if isinstance(event, CaseRead) else "prepared"
                append_log(folder, kind, case=event.case, seconds=round(event.seconds, 3))
            elif isinstance(event, Note):
                append_log(folder, "note", text=event.text)
            elif isinstance(event, CheckpointSaved):
                append_log(folder, "checkpoint", name=event.name)
            yield event


def processes_for(cases: Sequence[Case], wanted: int | None) -> int:
    """How many processes work on these cases: as `wanted`, or as many as they are worth; 0 is none but this one."""
    if wanted is not None:
        return wanted
    sizes = [_size_bytes(case) for case in cases]
    if SECONDS_A_CASE * len(sizes) + SECONDS_A_MEGABYTE * sum(sizes) / 1e6 < PROCESSES_PAY_SECONDS:
        return 0
    there = available_ram_bytes()
    room = MOST_PROCESSES if there is None else there // max(1, RAM_PER_BYTE * max(sizes))
    return max(1, min(usable_cores(), MOST_PROCESSES, len(sizes), room))


def _all(
    jobs: Sequence[Job],
    recall: Callable[[Job], Worked[T] | None],
    make: Callable[[Job], Worked[T]],
    event: type[CaseRead] | type[CasePrepared],
    workers: int | None,
) -> Generator[Reading, None, dict[str, T | None]]:
    """Case id -> what came of it. Raises one error with the faults of all cases, in their order."""
    found, lost = yield from _each(jobs, recall, make, event, workers)
    raise_all(ResourceError if lost else DataError, _faults(jobs, found))
    return {case: worked.value for case, worked in found.items()}


def _faults(jobs: Sequence[Job], found: Mapping[str, Worked[T]]) -> list[Problem]:
    return [problem for job in jobs for problem in found[job.case.id].problems]


def _each(
    jobs: Sequence[Job],
    recall: Callable[[Job], Worked[T] | None],
    make: Callable[[Job], Worked[T]],
    event: type[CaseRead] | type[CasePrepared],
    workers: int | None,
) -> Generator[Reading, None, tuple[dict[str, Worked[T]], bool]]:
    """Case id -> what came of it, or why nothing did; and whether a case cost every process its life."""
    found: dict[str, Worked[T]] = {}
    notes = Repeated()
    for job in jobs:
        known = recall(job)
        if known is not None:
            found[job.case.id] = known
            yield from _told(known, event(job.case.id, len(found), len(jobs)), notes)
    rest = [job for job in jobs if job.case.id not in found]
    lost = False
    with closing(each(make, rest, processes_for([job.case for job in rest], workers))) as outcomes:
        for outcome in outcomes:
            case = outcome.piece.case.id
            if isinstance(outcome, Died) and outcome.again:
                yield Note(f"case {case}: its process died ({outcome.why}); it is tried again when the rest is done")
                continue
            lost = lost or isinstance(outcome, Died)
            found[case] = worked = _lost(case, outcome.why) if isinstance(outcome, Died) else outcome.result
            yield from _told(worked, event(case, len(found), len(jobs), worked.seconds), notes)
    yield from notes.rest()
    return found, lost


def _told(worked: Worked[T], event: CaseRead | CasePrepared, notes: Repeated) -> Iterator[Reading]:
    """The note of a case, and that it is done; a fault is told at the end, with all others."""
    yield from notes.first(worked.note, event.case)
    if not worked.problems:
        yield event


def _lost(case: str, why: str) -> Worked[T]:
    """A case that cost every process that tried it its life."""
    hint = "give it more memory: end other programs, set a coarser model.spacing_mm, or take a larger machine"
    return Worked(
        None, (Problem("a case could not be prepared: its process died", f"case {case}", why, hint, (case,)),)
    )


def _size_bytes(case: Case) -> int:
    """0 where a file is missing: reading it will tell."""
    try:
        return size_bytes(case)
    except DataError:
        return 0
