"""What is done with one mask and its reference, in this process or in one of several. Torch-free."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.read import Canvas, common_grid, read_labels
from segtrain.data.same_grid import require_same_grid
from segtrain.metrics.score_case import score_case, score_missing
from segtrain.metrics.settings import EvaluationSettings


@dataclass(frozen=True, eq=False)
class MaskPair:
    """Two files of one case."""

    case: str
    patient: str
    reference: Path
    prediction: Path | None
    """None where there is none, which is scored as the worst."""
    task: Task
    evaluation: EvaluationSettings
    threads: int


@dataclass(frozen=True, eq=False)
class ScoredPair:
    """Scores, and what is wrong with the case."""

    scores: CaseScores | None
    """None where the reference cannot be used. Without a usable prediction they are the worst."""
    seconds: float
    note: str | None = None
    fault: str = ""
    others: tuple[int, ...] = ()
    """Ids that the task does not know, and that counted as background."""


def score_pair(pair: MaskPair) -> ScoredPair:
    """Read both masks and score them on the grid of the reference."""
    began = time.perf_counter()
    others: set[int] = set()
    try:
        canvas = _canvas(pair)
        reference = _read(pair, pair.reference, others, canvas)
    except DataError as error:
        return ScoredPair(None, time.perf_counter() - began, fault=str(error))
    note, fault = None, ""
    try:
        scores, note = _scores(pair, reference, others, canvas)
    except DataError as error:
        fault = f"{error}\n  so: it is scored as the worst"
        scores = score_missing(pair.case, pair.patient, reference, pair.task, pair.evaluation)
    return ScoredPair(scores, time.perf_counter() - began, note, fault, tuple(sorted(others)))


def _scores(pair: MaskPair, reference: LabelMap, others: set[int], canvas: Canvas) -> tuple[CaseScores, str | None]:
    """Scores and a note. Raises DataError where there is no prediction that could be scored."""
    if pair.prediction is None:
        hint = "--allow-missing leaves such cases out"
        raise DataError(Problem(f"case {pair.case} has no prediction", hint=hint))
    found = _read(pair, pair.prediction, others, canvas)
    note = require_same_grid(reference.grid, found.grid, pair.case, names=("reference", "prediction"))
    mask = LabelMap(found.array, reference.grid)
    notes = [f"{pair.case}: {text}" for text in dict.fromkeys((*reference.notes, *found.notes))]
    note = "; ".join([*notes, *([note] if note else [])]) or None
    scores = score_case(pair.case, pair.patient, mask, reference, pair.task, pair.evaluation, threads=pair.threads)
    return scores, note


def _canvas(pair: MaskPair) -> Canvas:
    """What masks without voxels of their own are drawn on. Which of two cannot be read, its reading tells."""
    grid = None
    with suppress(DataError):
        grid = common_grid(pair.reference, pair.prediction)
    return Canvas.of(pair.task, grid, pair.case)


def _read(pair: MaskPair, path: Path, others: set[int], canvas: Canvas) -> LabelMap:
    """The mask; ids that nobody named become background, and are added to `others`."""
    found = read_labels(ScanSource(path), canvas=canvas)
    unnamed = pair.task.unknown_ids(found.array)
    if not unnamed:
        return found
    others.update(unnamed)
    return LabelMap(np.where(np.isin(found.array, unnamed), 0, found.array), found.grid, found.notes)
