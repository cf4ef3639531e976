"""What is done with one mask and its reference, in this process or in one of several. Torch-free."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.read import read_labels, require_same_grid
from segtrain.metrics.score_case import score_case
from segtrain.metrics.settings import EvaluationSettings


@dataclass(frozen=True, eq=False)
class MaskPair:
    """Two files of one case."""

    case: str
    reference: Path
    prediction: Path | None
    """None where there is none: scored as if nothing had been drawn."""
    task: Task
    evaluation: EvaluationSettings
    threads: int


@dataclass(frozen=True, eq=False)
class ScoredPair:
    """Scores, or why there are none."""

    scores: CaseScores | None
    seconds: float
    note: str | None = None
    fault: str = ""


def score_pair(pair: MaskPair) -> ScoredPair:
    """Read both masks and score them on the grid of the reference."""
    began = time.perf_counter()
    try:
        reference = read_labels(ScanSource(pair.reference), pair.task)
        mask, note = _prediction(pair, reference)
        scores = score_case(pair.case, pair.case, mask, reference, pair.task, pair.evaluation, threads=pair.threads)
    except DataError as error:
        return ScoredPair(None, time.perf_counter() - began, fault=str(error))
    return ScoredPair(scores, time.perf_counter() - began, note)


def _prediction(pair: MaskPair, reference: LabelMap) -> tuple[LabelMap, str | None]:
    if pair.prediction is None:
        return LabelMap(np.zeros(reference.grid.shape, np.uint8), reference.grid), None
    found = read_labels(ScanSource(pair.prediction), pair.task)
    note = require_same_grid(reference.grid, found.grid, pair.case, names=("reference", "prediction"))
    return LabelMap(found.array, reference.grid), note
