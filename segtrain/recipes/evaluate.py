"""`segtrain eval`: scans or masks in, scores and a report out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from segtrain.core.case import Case
from segtrain.core.events import CaseScored, Event
from segtrain.core.files import write_json
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.data.prepare import prepare
from segtrain.data.write import write_prediction
from segtrain.inference.predict import Predictor
from segtrain.metrics.score_case import score_case
from segtrain.recipes.dataset import read_case
from segtrain.reports.summary import summarise
from segtrain.reports.tables import write_cases_csv


def predict_and_score(
    predictor: Predictor, cases: list[Case], out: Path, metrics: tuple[str, ...]
) -> Iterator[CaseScored]:
    """Predict each case onto its own grid, write the mask, and score it where a label is."""
    for number, case in enumerate(cases, start=1):
        image, labels, _ = read_case(case, predictor.task)
        found = predictor.predict(prepare(case.id, image, None, predictor.plan, predictor.task))
        write_prediction(out / "predictions" / f"{case.id}.nii.gz", found, case.images[0])
        scores = None
        if labels is not None:
            scores = score_case(case.id, case.patient, found, labels, predictor.task, metrics)
        yield CaseScored(case.id, number, len(cases), scores)


def write_scores(out: Path, scores: Iterable[CaseScores], failed: Iterable[str]) -> dict[str, object]:
    """Write cases.csv and metrics.json; returns the latter."""
    found = list(scores)
    write_cases_csv(out / "cases.csv", found)
    summary = summarise(found, failed=tuple(failed))
    write_json(out / "metrics.json", summary)
    return summary


def evaluate_cases(predictor: Predictor, cases: list[Case], out: Path, metrics: tuple[str, ...]) -> Iterator[Event]:
    """Predict, score and write; the reports come on top."""
    scores: list[CaseScores] = []
    for event in predict_and_score(predictor, cases, out, metrics):
        if event.scores is not None:
            scores.append(event.scores)
        yield event
    write_scores(out, scores, ())


def task_of(names: dict[str, int]) -> Task:
    """A task from label names alone."""
    return Task(labels=names)
