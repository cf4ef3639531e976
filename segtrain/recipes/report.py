"""`segtrain report`: a run or an evaluation on the disk -> its report.html, as often as one likes."""

from __future__ import annotations

import csv
from pathlib import Path

from segtrain.config.dump import flat
from segtrain.config.load import load_config
from segtrain.core.errors import DataError, Problem
from segtrain.core.files import read_json
from segtrain.recipes.run_folder import RunFolder
from segtrain.reports.contents import ConfigRow, EvaluationReport, TrainingReport
from segtrain.reports.figures import Row
from segtrain.reports.page import write_evaluation_report, write_training_report
from segtrain.reports.tables import read_cases_csv


def rebuild(folder: Path) -> Path:
    """Write report.html of a run or an evaluation; returns its path. DataError where the folder is neither."""
    run = RunFolder(folder)
    if run.record.is_file():
        validation = evaluation_report(run.validation) if (run.validation / "metrics.json").is_file() else None
        facts = {"run": folder.name, "device": str(read_json(run.record).get("device", ""))}
        report = TrainingReport(f"Training of {folder.name}", facts, config_rows(run), epoch_rows(run), validation)
        write_training_report(run.report, report)
        return run.report
    if (folder / "metrics.json").is_file():
        write_evaluation_report(folder / "report.html", evaluation_report(folder))
        return folder / "report.html"
    hint = "give the folder of a fit or of an eval"
    raise DataError(
        Problem("there is nothing to report on", str(folder), "it holds no run.json and no metrics.json", hint)
    )


def evaluation_report(folder: Path) -> EvaluationReport:
    """The content of an evaluation's report, from its files."""
    summary = read_json(folder / "metrics.json")
    scores = read_cases_csv(folder / "cases.csv")
    failed = [(str(case), str(message)) for case, message in read_json(folder / "evaluation.json")["failed"]]
    facts = {"cases": str(summary["cases"])}
    return EvaluationReport(f"Evaluation {folder.name}", facts, [], [], scores, summary, [], failed)


def config_rows(run: RunFolder) -> list[ConfigRow]:
    """Key, value and origin of everything the run was told."""
    return [(key, str(value), origin) for key, value, origin in flat(load_config(run.config))]


def epoch_rows(run: RunFolder) -> list[Row]:
    """Rows of metrics.csv with numbers as numbers."""
    if not run.metrics.is_file():
        return []
    with run.metrics.open(encoding="utf-8", newline="") as file:
        return [{key: float(text) if text else None for key, text in row.items()} for row in csv.DictReader(file)]
