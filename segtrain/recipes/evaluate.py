"""`segtrain eval`: scans or masks in, scores and a report out."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.config.load import load_config
from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.core.events import CaseFailed, CaseScored, Event, Finished, Note
from segtrain.core.files import write_json
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.cases import find_scans, mask_files, relocated
from segtrain.data.prepare import prepare
from segtrain.data.read import read_labels, require_same_grid
from segtrain.data.write import write_prediction
from segtrain.inference.predict import Predictor
from segtrain.metrics.score_case import score_case
from segtrain.recipes.dataset import read_case
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.trained import load_predictor
from segtrain.reports.summary import summarise
from segtrain.reports.tables import write_cases_csv, write_csv

RECORD = "evaluation.json"
"""What an evaluation was made from, so that its report can be rebuilt."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of the cases."""

    scores: tuple[CaseScores, ...]
    volumes_ml: Mapping[str, Mapping[str, float]]
    """Case -> label -> predicted volume."""
    failed: tuple[tuple[str, str], ...]
    """Case and message."""


def evaluate_run(
    run: Path, images: Path, labels: Path | None, out: Path, *, device: str = "auto", allow_code: bool = False
) -> Iterator[Event]:
    """Predict a folder of scans with a run, and score it where labels are; the last event is Finished.

    A case that cannot be used is named and left out; the others are done.
    """
    predictor = load_predictor(run, device=device, allow_code=allow_code)
    config = load_config(RunFolder(run).config).config
    cases = find_scans(relocated(config.data, images.resolve(), labels.resolve() if labels else None))
    outcome = yield from predict_cases(predictor, cases, out, config.evaluation.metrics)
    record = {
        "run": str(run.resolve()),
        "images": str(images.resolve()),
        "labels": str(labels.resolve()) if labels else None,
    }
    yield finish_evaluation(out, predictor.task, outcome, record)


def evaluate_masks(
    predictions: Path, labels: Path, out: Path, *, label_names: Mapping[str, int] | None, metrics: Sequence[str]
) -> Iterator[Event]:
    """Score a folder of masks against a folder of references; needs no model.

    Raises one DataError with every reference that has no prediction and every prediction without a reference.
    """
    found, references = mask_files(predictions), mask_files(labels)
    hint = "both folders name a case's mask alike"
    problems = [
        Problem(f"{c} has no prediction", str(predictions), hint=hint) for c in references.keys() - found.keys()
    ]
    problems += [Problem(f"{c} has no reference", str(labels), hint=hint) for c in found.keys() - references.keys()]
    raise_all(DataError, sorted(problems, key=lambda p: p.what))
    task = Task(labels=dict(label_names)) if label_names else _task_in(references, found)
    outcome = yield from _score_masks(references, found, task, tuple(metrics))
    record = {
        "predictions": str(predictions.resolve()),
        "labels": str(labels.resolve()),
        "task": task.model_dump(mode="json"),
    }
    yield finish_evaluation(out, task, outcome, record)


def predict_cases(
    predictor: Predictor, cases: Sequence[Case], out: Path, metrics: tuple[str, ...]
) -> Generator[Event, None, Outcome]:
    """Predict each case onto its own grid, write the mask, and score it where a label is; returns an Outcome."""
    _require_channels(predictor, cases)
    scores: list[CaseScores] = []
    volumes: dict[str, dict[str, float]] = {}
    failed: list[tuple[str, str]] = []
    for number, case in enumerate(cases, start=1):
        try:
            image, labels, _ = read_case(case, predictor.task)
            found = predictor.predict(prepare(case.id, image, None, predictor.plan, predictor.task))
            write_prediction(out / "predictions" / f"{case.id}.nii.gz", found, case.images[0])
            volumes[case.id] = volumes_ml(found, predictor.task)
            scored = None
            if labels is not None:
                scored = score_case(case.id, case.patient, found, labels, predictor.task, metrics)
                scores.append(scored)
            yield CaseScored(case.id, number, len(cases), scored)
        except DataError as error:
            failed.append((case.id, str(error)))
            yield CaseFailed(case.id, str(error), number, len(cases))
    return Outcome(tuple(scores), volumes, tuple(failed))


def volumes_ml(mask: LabelMap, task: Task) -> dict[str, float]:
    """Volume of each foreground label."""
    counts = {name: int((mask.array == task.labels[name]).sum()) for name in task.foreground}
    return {name: n * mask.grid.voxel_volume_ml for name, n in counts.items()}


def finish_evaluation(out: Path, task: Task, outcome: Outcome, record: Mapping[str, Any]) -> Finished:
    """Write cases.csv, metrics.json, volumes.csv and what the report is rebuilt from."""
    write_cases_csv(out / "cases.csv", outcome.scores)
    names = [case for case, _ in outcome.failed]
    summary = summarise(outcome.scores, failed=names)
    write_json(out / "metrics.json", summary)
    if outcome.volumes_ml:
        rows: list[list[str | float]] = [
            [case, *(found[name] for name in task.foreground)] for case, found in outcome.volumes_ml.items()
        ]
        write_csv(out / "volumes.csv", ["case", *(f"{name}_ml" for name in task.foreground)], rows)
    write_json(out / RECORD, {"schema_version": 1, **record, "failed": [list(pair) for pair in outcome.failed]})
    result = {"schema_version": 1, "out": str(out), "metrics": summary, "volumes_ml": dict(outcome.volumes_ml)}
    return Finished(out, result, failed=tuple(names))


def _score_masks(
    references: Mapping[str, Path], found: Mapping[str, Path], task: Task, metrics: tuple[str, ...]
) -> Generator[Event, None, Outcome]:
    scores: list[CaseScores] = []
    failed: list[tuple[str, str]] = []
    for number, (case, path) in enumerate(references.items(), start=1):
        try:
            reference, prediction = read_labels(ScanSource(path), task), read_labels(ScanSource(found[case]), task)
            note = require_same_grid(reference.grid, prediction.grid, case, names=("reference", "prediction"))
            if note:
                yield Note(note)
            on_grid = LabelMap(prediction.array, reference.grid)
            scores.append(score_case(case, case, on_grid, reference, task, metrics))
            yield CaseScored(case, number, len(references), scores[-1])
        except DataError as error:
            failed.append((case, str(error)))
            yield CaseFailed(case, str(error), number, len(references))
    return Outcome(tuple(scores), {}, tuple(failed))


def _task_in(*folders: Mapping[str, Path]) -> Task:
    """A task that names the ids found in masks: label_1, label_2 ..."""
    ids: set[int] = set()
    for path in (p for folder in folders for p in folder.values()):
        ids.update(int(i) for i in np.unique(read_labels(ScanSource(path)).array))
    if not ids - {0}:
        raise DataError(Problem("no mask holds a label", hint="every voxel of every mask is 0"))
    return Task(labels={"background": 0, **{f"label_{i}": i for i in sorted(ids - {0})}})


def _require_channels(predictor: Predictor, cases: Sequence[Case]) -> None:
    """ConfigError where the scans have another number of channels than the network."""
    wanted = len(predictor.plan.channels)
    if cases and len(cases[0].images) not in (1, wanted):
        what = f"the network needs {wanted} channels, the scans have {len(cases[0].images)}"
        raise ConfigError(Problem(what, hint=f"channels in order: {', '.join(predictor.plan.channels)}"))
