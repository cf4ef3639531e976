"""A run or an evaluation on the disk -> its report.html, as often as one likes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from segtrain.config.dump import flat, read_back
from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import SegtrainError
from segtrain.core.files import write_json
from segtrain.core.scores import CaseScores
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.read import Canvas, common_grid, read_labels, read_volume
from segtrain.data.same_grid import require_same_grid
from segtrain.recipes.run_folder import RunFolder, read_record, reading
from segtrain.reports.cases_view import metrics_in, worst_cases
from segtrain.reports.contents import ConfigRow, EvaluationReport, TrainingReport
from segtrain.reports.curves import Row
from segtrain.reports.overlays import CaseView, Overlay, case_view
from segtrain.reports.page import write_evaluation_report, write_training_report
from segtrain.reports.shown_metric import ShownMetric, shown_metrics
from segtrain.reports.tables import read_cases_csv

RECORD = "evaluation.json"
"""What an evaluation was made from, so that its report can be rebuilt."""

SHOWN_CASES = 5
"""The worst cases of an evaluation, which the report shows as pictures."""


@dataclass(frozen=True)
class ScoredFiles:
    """The files behind one case of an evaluation. Without images, outlines are shown on black."""

    case: str
    images: tuple[ScanSource, ...]
    label: ScanSource | None
    prediction: ScanSource

    @classmethod
    def of(cls, case: Case, prediction: Path) -> ScoredFiles:
        """Of a case that was predicted."""
        return cls(case.id, case.images, case.label, ScanSource(prediction))

    def to_json(self) -> dict[str, Any]:
        """Plain values, paths absolute."""
        return {
            "case": self.case,
            "images": [_source_json(source) for source in self.images],
            "label": _source_json(self.label) if self.label else None,
            "prediction": _source_json(self.prediction),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ScoredFiles:
        """The inverse of `to_json`."""
        label = ScanSource(Path(value["label"][0]), value["label"][1]) if value["label"] else None
        images = tuple(ScanSource(Path(path), uid) for path, uid in value["images"])
        path, uid = value["prediction"]
        return cls(value["case"], images, label, ScanSource(Path(path), uid))


class Statistics(BaseModel):
    """What metrics.json says of one metric and label."""

    mean: float | None
    median: float | None
    std: float | None
    ci95: tuple[float, float] | None
    n: int
    n_undefined: int


class Presence(BaseModel):
    """What metrics.json says of how often a label was there."""

    present: int
    found: int
    absent: int
    false_alarms: int
    false_positive_ml: float
    false_negative_ml: float


class Summary(BaseModel):
    """The part of metrics.json that a page shows; used to tell another file apart."""

    labels: dict[str, dict[str, Statistics]]
    mean: dict[str, float | None]
    presence: dict[str, Presence]
    definitions: dict[str, dict[str, str | int | float]] = {}


def keep_record(
    folder: Path, task: Task, files: Sequence[ScoredFiles], failed: Sequence[tuple[str, str]], facts: Mapping[str, Any]
) -> None:
    """Write down what an evaluation was made from."""
    record = {
        "schema_version": 1,
        **facts,
        "task": task.model_dump(mode="json"),
        "failed": [list(pair) for pair in failed],
        "files": [found.to_json() for found in files],
    }
    write_json(folder / RECORD, record)


def write_run_report(run: RunFolder) -> None:
    """report.html of a run, with its validation where there is one."""
    validation = evaluation_report(run.validation) if (run.validation / "metrics.json").is_file() else None
    record = read_record(run.record)
    with reading(run.record):
        cases = record.get("cases", {})
        facts = {
            "device": str(record.get("device", "")),
            "parameters": f"{record.get('parameters', 0):,}",
            "steps": str(record.get("total_steps", "")),
            "cases": f"{cases.get('train', 0)} trained on, {cases.get('validation', 0)} held out",
            "segtrain": str(record.get("versions", {}).get("segtrain", "")),
            "began": str(record.get("started", "")),
        }
        notes = [f"{text}." for text in record.get("cautions", ())]
    report = TrainingReport(f"Training of {run.name}", facts, config_rows(run), epoch_rows(run), validation, notes)
    write_training_report(run.report, report)


def write_scores_report(folder: Path) -> Path:
    """report.html of an evaluation."""
    page = folder / "report.html"
    write_evaluation_report(page, evaluation_report(folder))
    return page


def evaluation_report(folder: Path) -> EvaluationReport:
    """The content of an evaluation's report, from its files."""
    summary = read_record(folder / "metrics.json")
    with reading(folder / "metrics.json"):
        Summary.model_validate(summary)
    record = read_record(folder / RECORD)
    with reading(folder / RECORD):
        failed = [(str(case), str(message)) for case, message in record["failed"]]
        task = Task.model_validate(record["task"])
        files = {found.case: found for found in map(ScoredFiles.from_json, record["files"])}
    scores = read_cases_csv(folder / "cases.csv")
    metrics = shown_metrics(metrics_in(scores), summary.get("definitions"))
    facts = {key: str(record[key]) for key in ("run", "images", "predictions", "labels") if record.get(key)}
    notes: list[str] = []
    return EvaluationReport(
        title=f"Evaluation {folder.resolve().name}",
        facts=facts,
        scores=scores,
        summary=summary,
        overlays=list(_pictures(scores, metrics, files, task, notes)),
        failed=failed,
        volumes_only=bool(scores) and not metrics,
        notes=notes,
        profile=str(record.get("profile", "")),
    )


def config_rows(run: RunFolder) -> list[ConfigRow]:
    """Key, value and origin of everything the run was told."""
    return [(key, str(value), origin) for key, value, origin in flat(read_back(run.config))]


def epoch_rows(run: RunFolder) -> list[Row]:
    """Rows of metrics.csv with numbers as numbers, each with its epoch. DataError for any other table."""
    if not run.metrics.is_file():
        return []
    with reading(run.metrics), run.metrics.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        rows: list[Row] = [{key: float(text) if text else None for key, text in row.items()} for row in table]
        if any(row["epoch"] is None for row in rows):
            raise ValueError("a row has no epoch")
        return rows


def _pictures(
    scores: Sequence[CaseScores],
    metrics: Sequence[ShownMetric],
    files: Mapping[str, ScoredFiles],
    task: Task,
    notes: list[str],
) -> Iterator[CaseView]:
    """The worst cases, or the first ones where there are no scores; what cannot be shown is noted."""
    by_name = {case.case: case for case in scores if case.case in files}
    if len(by_name) < len(scores):
        alone = [case.case for case in scores if case.case not in files]
        more = f" and {len(alone) - SHOWN_CASES} more" if len(alone) > SHOWN_CASES else ""
        notes.append(f"no picture where nothing was predicted: {', '.join(alone[:SHOWN_CASES])}{more}")
    chosen = worst_cases(list(by_name.values()), metrics[0], SHOWN_CASES) if metrics else list(by_name)[:SHOWN_CASES]
    for name in chosen:
        caption = ""
        if metrics:
            caption = ", ".join(f"{m.heading} {m.text(by_name[name].mean(m.key))}" for m in metrics) + "."
        try:
            yield case_view(overlay_of(files[name], task, caption))
        except SegtrainError as error:
            notes.append(f"no picture of case {name}: {' '.join(str(error).split())}")


def overlay_of(files: ScoredFiles, task: Task, caption: str) -> Overlay:
    """Image and masks of a case, read. DataError where one cannot be, GridMismatch where they do not fit together."""
    scan = read_volume(files.images) if files.images else None
    masks = files.prediction.path, files.label.path if files.label else None
    grid, origins = (scan.grid, scan.origins) if scan else (common_grid(*masks), ())
    canvas = Canvas.of(task, grid, files.case, origins)
    prediction = read_labels(files.prediction, canvas=canvas)
    reference = read_labels(files.label, canvas=canvas) if files.label else None
    grid = (reference or prediction).grid
    image = scan or Volume(np.zeros((1, *grid.shape), dtype=np.float32), grid)
    for mask, name in ((prediction, "prediction"), (reference, "reference")):
        if mask is not None:
            require_same_grid(image.grid, mask.grid, names=("image", name))
    # One position within the tolerance of one grid is one grid: the image's, which all are drawn on.
    on_image = LabelMap(prediction.array, image.grid)
    beside = LabelMap(reference.array, image.grid) if reference else None
    names = {label: name for name, label in task.labels.items()}
    return Overlay(files.case, caption, image, on_image, beside, names)


def _source_json(source: ScanSource) -> list[str]:
    return [str(source.path.resolve()), source.series_uid]
