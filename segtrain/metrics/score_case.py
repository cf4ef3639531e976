"""Prediction and reference -> scores, on the grid of the file and on no other.

`score` takes plain arrays; `score_case` takes what segtrain passes around and refuses two grids that differ. Both
count all labels in one pass, hand each label to the metrics, and let `empties` decide where a mask is empty.
Voxels of the ignore label in the *reference* count nowhere, not in the volumes either: for a distance both masks are
empty there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segtrain.core.errors import ConfigError, DataError, GridMismatch, Problem, raise_all
from segtrain.core.grid import Grid
from segtrain.core.machine import usable_cores
from segtrain.core.nearest import did_you_mean
from segtrain.core.scores import CaseScores, Score, Status
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
    """Scores of one case for each structure of `task` and each region of the settings, with the volumes behind them.

    Structures that `task.partial` hides in this case have no value. Raises GridMismatch, naming the case and both
    grids, and DataError for ids that the task does not know.
    """
    if not prediction.grid.same_space(reference.grid):
        raise GridMismatch(_mismatch(case, prediction, reference))
    grid, structures = reference.grid, scored_structures(task, evaluation)
    hidden = _hidden(case, task, structures)
    laid = overlay(cut_to_labels(prediction.array, reference.array, grid.spacing_mm), task.ids, task.ignore)
    if laid.histogram[-1].sum() + laid.histogram[:, -1].sum():
        _refuse_unknown_ids(case, prediction, reference, task)
    told = {name: places for name, places in structures.items() if name not in hidden}
    rule = _rule_of(evaluation, grid)
    scores = _readings(laid, told, rule, threads)
    counts = {name: laid.counts(places) for name, places in structures.items()}
    return CaseScores(
        case,
        patient,
        {name: scores.get(name) or dict.fromkeys(evaluation.metrics, NOT_DRAWN) for name in counts},
        {name: c.reference * grid.voxel_volume_ml for name, c in counts.items() if name not in hidden},
        {name: c.prediction * grid.voxel_volume_ml for name, c in counts.items()},
    )


def score_missing(
    case: str, patient: str, reference: LabelMap, task: Task, evaluation: EvaluationSettings
) -> CaseScores:
    """Scores of a case that has no usable prediction: the worst, whether or not the reference holds a label."""
    structures = scored_structures(task, evaluation)
    hidden = _hidden(case, task, structures)
    voxels = dict(zip(*np.unique(reference.array, return_counts=True), strict=True))
    volumes = {
        name: sum(int(voxels.get(task.ids[place], 0)) for place in places) * reference.grid.voxel_volume_ml
        for name, places in structures.items()
        if name not in hidden
    }
    worst = _rule_of(evaluation, reference.grid).worst()
    not_drawn = dict.fromkeys(evaluation.metrics, NOT_DRAWN)
    return CaseScores(case, patient, {n: not_drawn if n in hidden else worst for n in structures}, volumes, {})


def scored_structures(task: Task, evaluation: EvaluationSettings) -> dict[str, tuple[int, ...]]:
    """What is scored -> its class indices: the structures of the task, and the regions of the settings.

    ConfigError for a region of labels that the task does not have.
    """
    unknown = [
        Problem(f"evaluation.regions.{name}: {label!r} is no label", hint=did_you_mean(label, task.names, "label"))
        for name, labels in evaluation.regions.items()
        for label in labels
        if label not in task.names[1:]
    ]
    raise_all(ConfigError, unknown)
    regions = {name: tuple(map(task.names.index, labels)) for name, labels in evaluation.regions.items()}
    return {**task.structures, **regions}


def _hidden(case: str, task: Task, structures: Mapping[str, Sequence[int]]) -> set[str]:
    """Structures that the mask of a case cannot tell."""
    labels = task.hidden_labels_in(case)
    return {name for name, places in structures.items() if any(task.names[place] in labels for place in places)}


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
        pair = Pair(label, counts, laid.spacing_mm, partial(laid.masks, places), threads)
        return {name: self._score(metric, pair, status) for name, metric in self.metrics.items()}

    def _score(self, metric: Metric, pair: Pair, status: Status) -> Score:
        """Lesions are also counted where only one mask has any: which of them are too small, only counting tells."""
        if status == "ok" or (status != "both_empty" and metric.card.cost == "components"):
            value = metric.measure(pair)
            return Score(None if value is None else float(value), status)
        return empty_score(status, metric.card.when_empty, self.diagonal_mm)

    def worst(self) -> dict[str, Score]:
        """Of a case that has no prediction at all."""
        found = {}
        for name, metric in self.metrics.items():
            sides = (empty_score(s, metric.card.when_empty, self.diagonal_mm) for s in ("pred_empty", "ref_empty"))
            known = next((score for score in sides if score.value is not None), Score(None, "no_prediction"))
            found[name] = replace(known, status="no_prediction")
        return found


def _rule_of(evaluation: EvaluationSettings, grid: Grid) -> _Rule:
    diagonal_mm = _diagonal_mm(grid.shape, grid.spacing_mm)
    return _Rule(chosen_metrics(evaluation), evaluation.empty_policy, diagonal_mm)


def _readings(
    laid: Overlaid, structures: Mapping[str, Sequence[int]], rule: _Rule, threads: int
) -> dict[str, dict[str, Score]]:
    return {name: rule.read(laid, threads, name, places) for name, places in structures.items()}


def _diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Of the image: no distance in it is longer."""
    return math.hypot(*(n * s for n, s in zip(shape, spacing_mm, strict=True)))


def _wanted(labels: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {n: (int(own),) if isinstance(own, Integral) else _whole(own) for n, own in labels.items()}


def _whole(ids: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in ids)


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
