"""Case after case: predicted onto its own grid, written, and scored where a label is.

While a network works on one scan, a thread reads and prepares the next one, and another writes and scores the last
one: three cases at most are in memory. Events come in the order of the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, OutOfMemory, Problem
from segtrain.core.events import CaseFailed, CaseScored, Event, Note
from segtrain.core.grid import Grid
from segtrain.core.machine import usable_cores
from segtrain.core.memory import memory_errors
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.core.words import count
from segtrain.data.probabilities import probability_file
from segtrain.data.read import read_labels
from segtrain.data.sources import newest_change
from segtrain.data.write import MaskFormat, MaskWriter
from segtrain.inference.predict import Ensemble, ReadyScan, Sink
from segtrain.metrics.score_case import score_case
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.one_case import read_case
from segtrain.recipes.run_report import ScoredFiles
from segtrain.recipes.scoring.outcome import Outcome
from segtrain.recipes.scoring.results_folder import PREDICTIONS, PROBABILITIES


@dataclass(frozen=True)
class Manner:
    """How cases are gone through, beside what the settings of inference say."""

    format: MaskFormat = "nii.gz"
    model: str = ""
    """What draws the masks, as a person calls it; a DICOM SEG says it."""
    probabilities: bool = False
    """Whether those of all outputs are saved too."""
    resume: bool = False
    """Whether masks that are there already are kept, and only the others made."""
    strict: bool = False
    """Whether the first case that cannot be used ends it."""


@dataclass(frozen=True, eq=False)
class _Read:
    """A case that was read."""

    labels: LabelMap | None
    note: str | None
    scan: ReadyScan | None
    """None where the mask is there already."""
    mask: LabelMap | None


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A case whose mask is known."""

    labels: LabelMap | None
    mask: LabelMap
    is_written: bool
    notes: tuple[str, ...]


_Fault = DataError | OutOfMemory
"""What costs one case, and not the others."""
Finished = Future[tuple[CaseScores, ScoredFiles]]


@dataclass(frozen=True, eq=False)
class _Behind:
    """A case that is being written and scored, or that failed."""

    case: str
    number: int
    notes: tuple[str, ...]
    result: Finished | _Fault

    @property
    def is_done(self) -> bool:
        """Whether nothing has to be waited for."""
        return isinstance(self.result, DataError | OutOfMemory) or self.result.done()


@dataclass(frozen=True, eq=False)
class _Work:
    """What is the same for all cases."""

    ensemble: Ensemble
    out: Path
    evaluation: EvaluationSettings
    manner: Manner

    @property
    def writer(self) -> MaskWriter:
        """Writes the masks."""
        return MaskWriter(self.manner.format, self.ensemble.task, self.manner.model)

    def read(self, case: Case) -> _Read:
        """Read a case, and prepare it unless its mask is there. Raises DataError, OutOfMemory."""
        with memory_errors("reading a scan", "a machine with more memory, or a smaller scan", where=case.id):
            return self._read(case)

    def _read(self, case: Case) -> _Read:
        image, labels, note = read_case(case, self.ensemble.channels, self.ensemble.task)
        mask = self.made_before(case, image.grid) if self.manner.resume else None
        scan = self.ensemble.prepare(case.id, image) if mask is None else None
        return _Read(labels, note, scan, mask)

    def made_before(self, case: Case, grid: Grid) -> LabelMap | None:
        """The mask of an earlier command; None where it is not there or damaged, or the scan was changed since."""
        place = self.writer.place(self.out / PREDICTIONS, case)
        wanted = [place, *([self.place_of_probabilities(case)] if self.manner.probabilities else [])]
        if not all(file.is_file() for file in wanted) or newest_change(case) > place.stat().st_mtime:
            return None
        try:
            found = read_labels(ScanSource(place), self.ensemble.task)
        except DataError:
            return None
        return LabelMap(found.array, grid) if found.grid.same_space(grid) else None

    def draw(self, case: Case, reading: Future[_Read]) -> Generator[None, None, _Drawn | _Fault]:
        """Predict a case; waits after each block of the scan, in case something else is to be done."""
        try:
            read = reading.result()
            if read.scan is None and read.mask is not None:
                return _Drawn(read.labels, read.mask, True, _sentences(case, read.note))
            if read.scan is None:
                raise RuntimeError(f"{case.id} was neither prepared nor found")
            with self.sink(case, read.scan) as sink:
                found = yield from self.ensemble.predicting(read.scan, sink)
        except (DataError, OutOfMemory) as error:
            return error
        return _Drawn(read.labels, found.labels, False, _sentences(case, read.note, *found.notes))

    @contextmanager
    def sink(self, case: Case, scan: ReadyScan) -> Iterator[Sink | None]:
        """Where the probabilities go, if they are wanted."""
        if not self.manner.probabilities:
            yield None
            return
        with probability_file(self.place_of_probabilities(case), scan.native, len(self.ensemble.output_names)) as write:
            yield write

    def place_of_probabilities(self, case: Case) -> Path:
        """The file of a case."""
        return self.out / PROBABILITIES / f"{case.id}.nii"

    def finish(self, case: Case, drawn: _Drawn) -> tuple[CaseScores, ScoredFiles]:
        """Write the mask, unless it is there, and score it. Raises DataError."""
        task, folder = self.ensemble.task, self.out / PREDICTIONS
        place = self.writer.place(folder, case) if drawn.is_written else self.writer.write(folder, drawn.mask, case)
        if drawn.labels is None:
            scores = CaseScores(case.id, case.patient, {}, {}, volumes_ml(drawn.mask, task))
        else:
            mask, labels, threads = drawn.mask, drawn.labels, usable_cores()
            scores = score_case(case.id, case.patient, mask, labels, task, self.evaluation, threads=threads)
        return scores, ScoredFiles.of(case, place)


@dataclass(frozen=True, eq=False)
class _Ended:
    """What came of the cases so far."""

    total: int
    strict: bool
    scores: list[CaseScores] = field(default_factory=list)
    files: list[ScoredFiles] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def leave_out(self, unusable: Sequence[tuple[str, Problem]]) -> Iterator[Event]:
        """Tell cases that were found to be of no use before any is read."""
        for case in dict.fromkeys(case for case, _ in unusable):
            why = str(DataError(*(problem for other, problem in unusable if other == case)))
            self.failed.append((case, why))
            yield CaseFailed(case, why, len(self.failed), self.total)

    def settle(self, behind: _Behind | None) -> Iterator[Event]:
        """Wait until a case is written, and tell. DataError where it failed and that ends all."""
        if behind is None:
            return
        yield from map(Note, behind.notes)
        try:
            if isinstance(behind.result, DataError | OutOfMemory):
                raise behind.result
            scores, files = behind.result.result()
        except (DataError, OutOfMemory) as error:
            if self.strict:
                raise
            self.failed.append((behind.case, str(error)))
            yield CaseFailed(behind.case, str(error), behind.number, self.total)
            return
        self.scores.append(scores)
        self.files.append(files)
        yield CaseScored(behind.case, behind.number, self.total, scores)


def predict_cases(
    ensemble: Ensemble,
    cases: Sequence[Case],
    out: Path,
    evaluation: EvaluationSettings,
    manner: Manner | None = None,
    unusable: Sequence[tuple[str, Problem]] = (),
) -> Generator[Event, None, Outcome]:
    """Predict each case onto its own grid, write the mask, and score it where a label is; returns an Outcome.

    A case that cannot be used is named and left out; where the manner is strict, its DataError is raised. `unusable`
    are further cases, of which that is known already, each with a reason.
    """
    work = _Work(ensemble, out, evaluation, manner or Manner())
    _require_channels(ensemble, cases)
    work.writer.require(cases)
    ended = _Ended(len(cases) + len({case for case, _ in unusable}), work.manner.strict)
    yield from ended.leave_out(unusable)
    left_out = len(ended.failed)
    behind: _Behind | None = None
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        for number, (case, reading) in enumerate(_one_ahead(reader, work.read, cases), 1 + left_out):
            drawing = work.draw(case, reading)
            while (drawn := _result_of(drawing)) is None:
                if behind is not None and behind.is_done:
                    yield from ended.settle(behind)
                    behind = None
            yield from ended.settle(behind)
            if isinstance(drawn, DataError | OutOfMemory):
                behind = _Behind(case.id, number, (), drawn)
            else:
                behind = _Behind(case.id, number, drawn.notes, writer.submit(work.finish, case, drawn))
        yield from ended.settle(behind)
    return Outcome(tuple(ended.scores), tuple(ended.files), tuple(ended.failed))


def volumes_ml(mask: LabelMap, task: Task) -> dict[str, float]:
    """Volume of each structure."""
    ids, counts = np.unique(mask.array, return_counts=True)
    voxels = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    return {
        name: sum(voxels.get(task.ids[place], 0) for place in members) * mask.grid.voxel_volume_ml
        for name, members in task.structures.items()
    }


def _one_ahead(
    reader: ThreadPoolExecutor, read: Callable[[Case], _Read], cases: Sequence[Case]
) -> Iterator[tuple[Case, Future[_Read]]]:
    """Each case with what is read of it; the next one is read meanwhile."""
    following = [reader.submit(read, case) for case in cases[:1]]
    for place, case in enumerate(cases):
        reading = following.pop()
        following += [reader.submit(read, other) for other in cases[place + 1 : place + 2]]
        yield case, reading


def _result_of(drawing: Generator[None, None, _Drawn | _Fault]) -> _Drawn | _Fault | None:
    """What a case became; None where it is not done yet."""
    try:
        next(drawing)
    except StopIteration as end:
        drawn: _Drawn | _Fault = end.value
        return drawn
    return None


def _sentences(case: Case, note: str | None, *others: str) -> tuple[str, ...]:
    """Notes for the reader; those of the prediction do not name the case."""
    return (*([] if note is None else [note]), *(f"{case.id}: {other}" for other in others))


def _require_channels(ensemble: Ensemble, cases: Sequence[Case]) -> None:
    """ConfigError where the scans have another number of channels than the network."""
    wanted = len(ensemble.channels)
    if cases and len(cases[0].images) not in (1, wanted):
        what = f"the network needs {count(wanted, 'channel')}, the scans have {len(cases[0].images)}"
        raise ConfigError(Problem(what, hint=f"channels in order: {', '.join(ensemble.channels)}"))
