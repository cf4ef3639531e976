"""Prediction and reference -> scores, on the grid of the file and on no other.

`score` takes plain arrays; `score_case` takes what segtrain passes around and refuses two grids that differ. Both
count all labels in one pass, hand each label to the metrics, and let `empties` decide where a mask is empty.
Voxels of the ignore label in the *reference* count nowhere, not in the volumes either: for a distance both masks are
empty there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segtrain.core.errors import ConfigError, DataError, GridMismatch, Problem
from segtrain.core.machine import usable_cores
from segtrain.core.scores import CaseScores, Score
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.metrics.chosen import chosen_metrics, settings_of
from segtrain.metrics.counts import Mask
from segtrain.metrics.empties import EmptyPolicy, empty_score, status_of
from segtrain.metrics.overlaid import BACKGROUND, Cut, Overlaid, cut_to_labels, overlay
from segtrain.metrics.pair import Pair
from segtrain.metrics.registry import Metric
from segtrain.metrics.settings import DEFAULT_METRICS, EvaluationSettings

NOT_DRAWN = Score(None, "not_drawn")


def score(
    prediction: ArrayLike,
    reference: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    nsd_tolerance_mm: float | Mapping[str, float] | None = None,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    ignore: int | None = None,
    settings: EvaluationSettings | None = None,
) -> dict[str, dict[str, Score]]:
    """Scores of two masks of label ids: label name -> metric name -> `Score`.

    Masks may be 2D or 3D, boolean or whole numbers; `spacing_mm` follows their axes. `labels` gives the ids
    to score, several for a region; by default every id but 0 that occurs in either mask, named by its number. Voxels
    whose reference is `ignore` do not count. `settings`, in place of `metrics` and `nsd_tolerance_mm`, says all that a
    config can say. Raises GridMismatch for masks of different shapes, ConfigError for an unknown metric, for nsd
    without a tolerance or a spacing that does not fit, DataError for values that are not label ids.
    """
    predicted, expected = _mask(prediction, "prediction"), _mask(reference, "reference")
    if predicted.shape != expected.shape:
        raise GridMismatch(Problem(f"the prediction is {predicted.shape}, the reference {expected.shape} voxels"))
    spacing = _spacing(spacing_mm, expected.ndim)
    asked = settings or settings_of({"metrics": tuple(metrics), "nsd_tolerance_mm": nsd_tolerance_mm})
    cut = cut_to_labels(predicted, expected, spacing)
    wanted = _wanted(labels) if labels is not None else _ids_in(cut, ignore)
    ids = tuple(dict.fromkeys(i for own in wanted.values() for i in own))
    laid = overlay(cut, ids, ignore)
    structures = {name: tuple(ids.index(i) for i in own) for name, own in wanted.items()}
    rule = _Rule(chosen_metrics(asked), asked.empty_policy, _diagonal_mm(expected.shape, spacing))
    if expected.ndim not in (2, 3) and any(metric.card.cost != "counts" for metric in rule.metrics.values()):
        raise ConfigError(Problem(f"masks of {expected.ndim} axes have no surface", hint="pass two or three axes"))
    return _readings(laid, structures, rule, usable_cores())


def score_case(
    case: str,
    patient: str,
    prediction: LabelMap,
    reference: LabelMap,
    task: Task,
    evaluation: EvaluationSettings,
    *,
    threads: int = 1,
) -> CaseScores:
    """Scores of one case for each structure of `task`, with the volumes behind them.

    Structures that `task.partial` hides in this case have no value. Raises GridMismatch, naming the case and both
    grids, and DataError for ids that the task does not know.
    """
    if not prediction.grid.same_space(reference.grid):
        raise GridMismatch(_mismatch(case, prediction, reference))
    grid, hidden = reference.grid, task.hidden_in(case)
    laid = overlay(cut_to_labels(prediction.array, reference.array, grid.spacing_mm), task.ids, task.ignore)
    if laid.histogram[-1].sum() + laid.histogram[:, -1].sum():
        _refuse_unknown_ids(case, prediction, reference, task)
    told = {name: places for name, places in task.structures.items() if name not in hidden}
    rule = _Rule(chosen_metrics(evaluation), evaluation.empty_policy, _diagonal_mm(grid.shape, grid.spacing_mm))
    scores = _readings(laid, told, rule, threads)
    counts = {name: laid.counts(places) for name, places in task.structures.items()}
    return CaseScores(
        case,
        patient,
        {name: scores.get(name) or dict.fromkeys(evaluation.metrics, NOT_DRAWN) for name in counts},
        {name: c.reference * grid.voxel_volume_ml for name, c in counts.items() if name not in hidden},
        {name: c.prediction * grid.voxel_volume_ml for name, c in counts.items()},
    )


@dataclass(frozen=True, eq=False)
class _Rule:
    """What is measured, and what holds where a mask is empty."""

    metrics: Mapping[str, Metric]
    policy: EmptyPolicy
    diagonal_mm: float

    def read(self, laid: Overlaid, threads: int, label: str, places: Sequence[int]) -> dict[str, Score]:
        """One structure: every metric from one shared `Pair`."""
        counts = laid.counts(places)
        status = status_of(prediction=counts.prediction, reference=counts.reference)
        if status == "both_empty" and self.policy == "challenge":
            best = {name: 1.0 if metric.card.best == "higher" else 0.0 for name, metric in self.metrics.items()}
            return {name: Score(value, status) for name, value in best.items()}
        if status != "ok":
            return {n: empty_score(status, m.card.when_empty, self.diagonal_mm) for n, m in self.metrics.items()}
        pair = Pair(label, counts, laid.spacing_mm, partial(laid.masks, places), threads)
        return {name: _measured(metric, pair) for name, metric in self.metrics.items()}


def _readings(
    laid: Overlaid, structures: Mapping[str, Sequence[int]], rule: _Rule, threads: int
) -> dict[str, dict[str, Score]]:
    return {name: rule.read(laid, threads, name, places) for name, places in structures.items()}


def _measured(metric: Metric, pair: Pair) -> Score:
    value = metric.measure(pair)
    return Score(None if value is None else float(value), "ok")


def _diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Of the image: no distance in it is longer."""
    return math.hypot(*(n * s for n, s in zip(shape, spacing_mm, strict=True)))


def _wanted(labels: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {name: (own,) if isinstance(own, int) else tuple(own) for name, own in labels.items()}


def _mask(values: ArrayLike, role: str) -> Mask:
    array: NDArray[Any] = np.asarray(values)
    if array.dtype == np.bool_:
        return array.view(np.uint8)
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


def _ids_in(cut: Cut, ignore: int | None) -> dict[str, tuple[int, ...]]:
    """Every structure that occurs in a voxel that counts, by its number."""
    valid = slice(None) if ignore is None else cut.reference != ignore
    ids = {int(i) for mask in (cut.prediction, cut.reference) for i in _values_in(mask[valid])} - {BACKGROUND, ignore}
    return {str(i): (i,) for i in sorted(ids)}


def _values_in(mask: Mask) -> NDArray[Any]:
    if mask.dtype == np.uint8:  # no sorting
        return np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256))
    return np.unique(mask)


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
