"""`segtrain eval`: scans or masks in, scores and a report out."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.core.events import CaseFailed, CaseScored, Event, Finished, Note
from segtrain.core.files import write_json
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.core.wrong_values import problems_of
from segtrain.data.cases import find_scans, mask_files, relocated
from segtrain.data.read import read_labels, require_same_grid
from segtrain.data.write import write_prediction
from segtrain.inference.predict import Ensemble
from segtrain.metrics.score_case import score_case
from segtrain.recipes.assemble import metric_cards
from segtrain.recipes.one_case import read_case
from segtrain.recipes.results_folder import PREDICTIONS, open_results, sources_of
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import ScoredFiles, keep_record, write_scores_report
from segtrain.recipes.seen import seen_in_training
from segtrain.recipes.trained import load_ensemble, runs_in, trained_config
from segtrain.reports.summary import summarise
from segtrain.reports.tables import write_cases_csv, write_csv


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of the cases."""

    scores: tuple[CaseScores, ...]
    """Without a reference, a case has volumes only."""
    files: tuple[ScoredFiles, ...]
    failed: tuple[tuple[str, str], ...]
    """Case and message."""


def evaluate_run(
    run: Path,
    images: Path,
    labels: Path | None,
    out: Path,
    *,
    device: str = "auto",
    allow_code: bool = False,
    overwrite: bool = False,
) -> Generator[Event, None, None]:
    """Predict a folder of scans with a run, and score it where labels are; the last event is Finished.

    A case that cannot be used is named and left out; the others are done.
    """
    ensemble = load_ensemble(run, device=device, allow_code=allow_code)
    config = trained_config(run, allow_code=allow_code)
    metrics = config.evaluation.metrics if labels else ()
    metric_cards(metrics, run)
    cases = find_scans(relocated(config.data, images.resolve(), labels.resolve() if labels else None))
    open_results(out, sources_of(cases), overwrite=overwrite)
    if labels:
        splits = [RunFolder(each).splits for each in runs_in(run)]
        yield from map(Note, seen_in_training(splits, [case.id for case in cases], "this run"))
    outcome = yield from predict_cases(ensemble, cases, out, metrics)
    places = {"run": str(run.resolve()), "images": str(images.resolve())}
    if labels:
        places["labels"] = str(labels.resolve())
    yield report_evaluation(finish_evaluation(out, ensemble.task, outcome, places))


def evaluate_masks(
    predictions: Path,
    labels: Path,
    out: Path,
    *,
    label_names: Mapping[str, int] | None,
    metrics: Sequence[str],
    overwrite: bool = False,
) -> Generator[Event, None, None]:
    """Score a folder of masks against a folder of references; needs no model.

    Raises one DataError with every reference that has no prediction and every prediction without a reference.
    """
    predictions = masks_in(predictions)
    found, references = mask_files(predictions), mask_files(labels)
    hint = "both folders name a case's mask alike"
    problems = [
        Problem(f"{c} has no prediction", str(predictions), hint=hint) for c in references.keys() - found.keys()
    ]
    problems += [Problem(f"{c} has no reference", str(labels), hint=hint) for c in found.keys() - references.keys()]
    raise_all(DataError, sorted(problems, key=lambda p: p.what))
    task = _task(label_names) if label_names else _task_in(references, found)
    metric_cards(metrics, Path.cwd())
    open_results(out, map(ScanSource, [*found.values(), *references.values()]), overwrite=overwrite, masks=False)
    outcome = yield from _score_masks(references, found, task, tuple(metrics))
    places = {"predictions": str(predictions.resolve()), "labels": str(labels.resolve())}
    yield report_evaluation(finish_evaluation(out, task, outcome, places))


def masks_in(folder: Path) -> Path:
    """The folder, or where it is one that `predict` or `eval` wrote, the folder of masks in it."""
    inside = folder / PREDICTIONS
    has_own = folder.is_dir() and any(folder.glob("*.nii*"))
    return inside if inside.is_dir() and not has_own else folder


def predict_cases(
    ensemble: Ensemble, cases: Sequence[Case], out: Path, metrics: tuple[str, ...]
) -> Generator[Event, None, Outcome]:
    """Predict each case onto its own grid, write the mask, and score it where a label is; returns an Outcome."""
    _require_channels(ensemble, cases)
    scores: list[CaseScores] = []
    files: list[ScoredFiles] = []
    failed: list[tuple[str, str]] = []
    for number, case in enumerate(cases, start=1):
        try:
            image, labels, note = read_case(case, ensemble.channels, ensemble.task)
            if note:
                yield Note(note)
            found = ensemble.predict(case.id, image)
            target = out / PREDICTIONS / f"{case.id}.nii.gz"
            write_prediction(target, found, case.images[0], others=sources_of([case]))
            if labels is None:
                scored = CaseScores(case.id, case.patient, {}, {}, volumes_ml(found, ensemble.task))
            else:
                scored = score_case(case.id, case.patient, found, labels, ensemble.task, metrics)
            scores.append(scored)
            files.append(ScoredFiles.of(case, target))
            yield CaseScored(case.id, number, len(cases), scored)
        except DataError as error:
            failed.append((case.id, str(error)))
            yield CaseFailed(case.id, str(error), number, len(cases))
    return Outcome(tuple(scores), tuple(files), tuple(failed))


def joined_outcome(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Outcome:
    """What came of cases that several processes shared, in the order of the cases."""
    place = {case.id: number for number, case in enumerate(cases)}
    scores = sorted((s for one in outcomes for s in one.scores), key=lambda scored: place[scored.case])
    files = sorted((f for one in outcomes for f in one.files), key=lambda file: place[file.case])
    failed = sorted((f for one in outcomes for f in one.failed), key=lambda pair: place[pair[0]])
    return Outcome(tuple(scores), tuple(files), tuple(failed))


def volumes_ml(mask: LabelMap, task: Task) -> dict[str, float]:
    """Volume of each structure."""
    ids = {name: [task.ids[index] for index in members] for name, members in task.structures.items()}
    counts = {name: int(np.isin(mask.array, own).sum()) for name, own in ids.items()}
    return {name: n * mask.grid.voxel_volume_ml for name, n in counts.items()}


def finish_evaluation(out: Path, task: Task, outcome: Outcome, places: Mapping[str, str]) -> Finished:
    """Write cases.csv, volumes.csv, metrics.json and what the report is rebuilt from."""
    names = [case for case, _ in outcome.failed]
    volumes = {case.case: dict(case.prediction_ml) for case in outcome.scores}
    write_cases_csv(out / "cases.csv", outcome.scores)
    rows = [[case, *(found.get(name) for name in task.foreground)] for case, found in volumes.items()]
    write_csv(out / "volumes.csv", ["case", *(f"{name}_ml" for name in task.foreground)], rows)
    keep_record(out, task, outcome.files, outcome.failed, places)
    summary = summarise(outcome.scores, failed=names)
    write_json(out / "metrics.json", summary)
    result = {"schema_version": 1, "out": str(out), "metrics": summary, "volumes_ml": volumes}
    return Finished(out, result, failed=tuple(names))


def report_evaluation(finished: Finished) -> Finished:
    """Write the report of an evaluation that stands by itself."""
    page = write_scores_report(finished.folder)
    return replace(finished, result={**finished.result, "report": str(page)})


def _score_masks(
    references: Mapping[str, Path], found: Mapping[str, Path], task: Task, metrics: tuple[str, ...]
) -> Generator[Event, None, Outcome]:
    scores: list[CaseScores] = []
    files: list[ScoredFiles] = []
    failed: list[tuple[str, str]] = []
    for number, (case, path) in enumerate(references.items(), start=1):
        try:
            reference, prediction = read_labels(ScanSource(path), task), read_labels(ScanSource(found[case]), task)
            note = require_same_grid(reference.grid, prediction.grid, case, names=("reference", "prediction"))
            if note:
                yield Note(note)
            on_grid = LabelMap(prediction.array, reference.grid)
            scores.append(score_case(case, case, on_grid, reference, task, metrics))
            files.append(ScoredFiles(case, (), ScanSource(path), ScanSource(found[case])))
            yield CaseScored(case, number, len(references), scores[-1])
        except DataError as error:
            failed.append((case, str(error)))
            yield CaseFailed(case, str(error), number, len(references))
    return Outcome(tuple(scores), tuple(files), tuple(failed))


def _task(names: Mapping[str, int]) -> Task:
    """The task of these labels, with a background where none has id 0. ConfigError where it is none."""
    try:
        return Task(labels=dict(names) if 0 in names.values() else {"background": 0, **names})
    except ValidationError as error:
        raise ConfigError(*problems_of(error, Task, "labels")) from error


def _task_in(*folders: Mapping[str, Path]) -> Task:
    """A task that names the ids found in masks: label_1, label_2 ... A mask that cannot be read fails as a case."""
    ids: set[int] = set()
    for path in (p for folder in folders for p in folder.values()):
        with suppress(DataError):
            ids.update(int(i) for i in np.unique(read_labels(ScanSource(path)).array))
    if not ids - {0}:
        raise DataError(Problem("no mask holds a label", hint="every voxel of every mask that can be read is 0"))
    return _task({f"label_{i}": i for i in sorted(ids - {0})})


def _require_channels(ensemble: Ensemble, cases: Sequence[Case]) -> None:
    """ConfigError where the scans have another number of channels than the network."""
    wanted = len(ensemble.channels)
    if cases and len(cases[0].images) not in (1, wanted):
        what = f"the network needs {wanted} channels, the scans have {len(cases[0].images)}"
        raise ConfigError(Problem(what, hint=f"channels in order: {', '.join(ensemble.channels)}"))
