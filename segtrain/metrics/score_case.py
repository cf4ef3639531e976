"""Prediction and reference -> scores, on the grid of the file and on no other.

`score` takes plain arrays; `score_case` takes what segtrain passes around and refuses two grids that differ. Both
count all labels in one pass, hand each label to the metrics, and let `empties` decide where a mask is empty.
Voxels of the ignore label in the *reference* count nowhere, not in the volumes either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segtrain.core.errors import ConfigError, DataError, GridMismatch, Problem
from segtrain.core.scores import CaseScores, Score
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.metrics.counts import Counts, Mask, counts_of, joint_histogram
from segtrain.metrics.empties import empty_score, status_of
from segtrain.metrics.registry import METRICS, Metric, Pair
from segtrain.metrics.settings import DEFAULT_METRICS

NOT_DRAWN = Score(None, "not_drawn")

BACKGROUND = 0
"""The id that is not a structure."""


def score(
    prediction: ArrayLike,
    reference: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    labels: Mapping[str, int] | None = None,
    ignore: int | None = None,
) -> dict[str, dict[str, Score]]:
    """Scores of two masks of label ids: label name -> metric name -> `Score`.

    Masks may be 2D or 3D, boolean or whole numbers; `spacing_mm` follows their axes. `labels` gives the ids
    to score; by default every id but 0 that occurs in either mask, named by its number. Voxels whose
    reference is `ignore` do not count. Raises GridMismatch for masks of different shapes, ConfigError for an
    unknown metric or a spacing that does not fit, DataError for values that are not label ids.
    """
    predicted, expected = _mask(prediction, "prediction"), _mask(reference, "reference")
    if predicted.shape != expected.shape:
        raise GridMismatch(Problem(f"the prediction is {predicted.shape}, the reference {expected.shape} voxels"))
    spacing = _spacing(spacing_mm, expected.ndim)
    chosen = {name: _build(name) for name in metrics}
    valid = None if ignore is None else expected != ignore
    wanted = labels if labels is not None else _ids_in(predicted, expected, valid, ignore)
    ids = tuple(dict.fromkeys(wanted.values()))
    histogram = joint_histogram(predicted, expected, ids, valid)
    return {name: _readings(counts_of(histogram, [ids.index(i)]), spacing, chosen) for name, i in wanted.items()}


def score_case(
    case: str, patient: str, prediction: LabelMap, reference: LabelMap, task: Task, metrics: Sequence[str]
) -> CaseScores:
    """Scores of one case for each structure of `task`, with the volumes behind them.

    Structures that `task.partial` hides in this case have no value. Raises GridMismatch, naming the case and both
    grids, and DataError for ids that the task does not know.
    """
    if not prediction.grid.same_space(reference.grid):
        raise GridMismatch(_mismatch(case, prediction, reference))
    chosen = {name: _build(name) for name in metrics}
    valid = None if task.ignore is None else reference.array != task.ignore
    histogram = joint_histogram(prediction.array, reference.array, task.ids, valid)
    if histogram[-1].sum() + histogram[:, -1].sum():
        _refuse_unknown_ids(case, prediction, reference, task)
    counts = {name: counts_of(histogram, places) for name, places in task.structures.items()}
    voxel_ml, hidden = reference.grid.voxel_volume_ml, task.hidden_in(case)
    return CaseScores(
        case,
        patient,
        {
            name: dict.fromkeys(chosen, NOT_DRAWN)
            if name in hidden
            else _readings(c, reference.grid.spacing_mm, chosen)
            for name, c in counts.items()
        },
        {name: c.reference * voxel_ml for name, c in counts.items() if name not in hidden},
        {name: c.prediction * voxel_ml for name, c in counts.items()},
    )


def _readings(counts: Counts, spacing_mm: tuple[float, ...], metrics: Mapping[str, Metric]) -> dict[str, Score]:
    """One label: every metric from one shared `Pair`."""
    status = status_of(prediction=counts.prediction, reference=counts.reference)
    if status != "ok":
        return {name: empty_score(status, metric.card.when_empty) for name, metric in metrics.items()}
    pair = Pair(counts, spacing_mm)
    return {name: Score(float(metric.measure(pair)), status) for name, metric in metrics.items()}


def _build(name: str) -> Metric:
    metric: Metric = METRICS.build(name, options={})
    return metric


def _mask(values: ArrayLike, role: str) -> Mask:
    array: NDArray[Any] = np.asarray(values)
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if np.issubdtype(array.dtype, np.integer):
        return array
    if np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all() and (array == np.rint(array)).all():
        return array.astype(np.int64)
    raise DataError(Problem(f"the {role} holds {array.dtype} values that are not label ids", hint="pass whole numbers"))


def _spacing(spacing_mm: Sequence[float], axes: int) -> tuple[float, ...]:
    spacing = tuple(float(s) for s in spacing_mm)
    if len(spacing) != axes or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise ConfigError(
            Problem(f"spacing_mm {spacing} does not fit masks of {axes} axes", hint="one positive number per axis")
        )
    return spacing


def _ids_in(prediction: Mask, reference: Mask, valid: NDArray[np.bool_] | None, ignore: int | None) -> dict[str, int]:
    """Every structure that occurs in a voxel that counts, by its number."""
    counted = (m if valid is None else m[valid] for m in (prediction, reference))
    ids = {int(i) for mask in counted for i in np.unique(mask)} - {BACKGROUND, ignore}
    return {str(i): i for i in sorted(ids)}


def _mismatch(case: str, prediction: LabelMap, reference: LabelMap) -> Problem:
    ours, theirs = prediction.grid, reference.grid
    apart = "" if ours.shape != theirs.shape else f", {ours.distance_voxels(theirs):.3g} voxels apart"
    return Problem(
        f"case {case}: prediction and reference do not lie on one grid",
        why=f"prediction: {ours.describe()}; reference: {theirs.describe()}{apart}",
        hint="resample the mask that was made on another grid, or fix its affine",
    )


def _refuse_unknown_ids(case: str, prediction: LabelMap, reference: LabelMap, task: Task) -> None:
    """A label that nobody named would count as background without a word."""
    found = {role: task.unknown_ids(m.array) for role, m in (("prediction", prediction), ("reference", reference))}
    for role, ids in found.items():
        if ids:
            raise DataError(
                Problem(
                    f"case {case}: the {role} holds ids that no label has: {', '.join(map(str, ids[:10]))}",
                    why=f"the task knows {dict(task.labels)}",
                    hint="add them to task.labels, or set task.ignore",
                )
            )
