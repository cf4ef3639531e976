"""`segtrain eval`: scans or masks in, scores and a report out."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segtrain.config.at_prediction import evaluation_with
from segtrain.core.events import Event, Finished, Note
from segtrain.core.files import real_path, write_json
from segtrain.core.task import Task
from segtrain.data.cases import find_scans
from segtrain.metrics.chosen import chosen_metrics, require_tolerances
from segtrain.metrics.registry import definitions
from segtrain.metrics.score_case import scored_structures
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.fitting.seen import tell_seen
from segtrain.recipes.room import masks_need, require_room
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import keep_record, write_scores_report
from segtrain.recipes.scoring.made_by import begin, drawn_by
from segtrain.recipes.scoring.outcome import Outcome
from segtrain.recipes.scoring.patients import by_patient
from segtrain.recipes.scoring.predict_cases import Manner, predict_cases
from segtrain.recipes.scoring.results_folder import results_folder
from segtrain.recipes.trained import load_ensemble, runs_in, trained_config
from segtrain.reports.summary import summarise
from segtrain.reports.tables import write_cases_csv, write_csv


def evaluate_run(
    runs: Path | Sequence[Path],
    images: Path,
    labels: Path | None,
    out: Path,
    *,
    device: str = "auto",
    allow_code: bool = False,
    overwrite: bool = False,
    overrides: Sequence[str] = (),
    manner: Manner | None = None,
) -> Generator[Event, None, None]:
    """Predict a folder of scans with a run, and score it where labels are; the last event is Finished.

    Several runs predict together, as an ensemble. `overrides` change `inference.*` and `evaluation.*`. A case that
    cannot be used is named and left out; the others are done.
    """
    folders = [runs] if isinstance(runs, Path) else list(runs)
    manner = drawn_by(folders, manner)
    ensemble = load_ensemble(folders, device=device, allow_code=allow_code, overrides=overrides)
    config = trained_config(folders[0], allow_code=allow_code)
    evaluation = evaluation_with(config.evaluation, overrides)
    chosen_metrics(evaluation)
    require_tolerances(evaluation, list(scored_structures(ensemble.task, evaluation)))
    scans = find_scans(config.data, real_path(images), real_path(labels) if labels else None)
    if manner.strict:
        scans.require_all()
    cases = by_patient(scans.cases, evaluation)
    places = {"run": ", ".join(str(run.resolve()) for run in folders), "images": str(images.resolve())}
    outputs = len(ensemble.output_names) if manner.probabilities else 0
    require_room([masks_need(cases, out, outputs)])
    with results_folder(out):
        yield from begin(out, folders, ensemble, cases, manner, overwrite=overwrite)
        if labels:
            places["labels"] = str(labels.resolve())
            yield from map(Note, filter(None, [evaluation.why]))
            trained = [RunFolder(each) for run in folders for each in runs_in(run)]
            yield from map(Note, tell_seen(trained, cases, ensemble.task))
        outcome = yield from predict_cases(ensemble, cases, out, evaluation, manner, scans.faults)
        yield report_evaluation(finish_evaluation(out, ensemble.task, outcome, places, evaluation))


def finish_evaluation(
    out: Path, task: Task, outcome: Outcome, places: Mapping[str, str], evaluation: EvaluationSettings
) -> Finished:
    """Write cases.csv, volumes.csv, metrics.json and what the report is rebuilt from."""
    names = [case for case, _ in outcome.failed]
    volumes = {case.case: dict(case.prediction_ml) for case in outcome.scores}
    write_cases_csv(out / "cases.csv", outcome.scores)
    write_volumes(out, task, volumes)
    meaning = definitions(chosen_metrics(evaluation)) if any(case.scores for case in outcome.scores) else {}
    facts = {**places, "profile": evaluation.why, "definitions": meaning}
    keep_record(out, task, outcome.files, outcome.failed, facts)
    summary = summarise(outcome.scores, failed=names, definitions=meaning)
    write_json(out / "metrics.json", summary)
    result = {"schema_version": 1, "out": str(out), "metrics": summary, "volumes_ml": volumes}
    return Finished(out, result, failed=tuple(names))


def write_volumes(out: Path, task: Task, volumes: Mapping[str, Mapping[str, float]]) -> None:
    """volumes.csv: a row a case, a column a structure, in ml."""
    rows = [[case, *(found.get(name) for name in task.foreground)] for case, found in volumes.items()]
    write_csv(out / "volumes.csv", ["case", *(f"{name}_ml" for name in task.foreground)], rows)


def report_evaluation(finished: Finished) -> Finished:
    """Write the report of an evaluation that stands by itself."""
    page = write_scores_report(finished.folder)
    return replace(finished, result={**finished.result, "report": str(page)})
