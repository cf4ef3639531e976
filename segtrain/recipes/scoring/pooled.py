"""The held-out scores of all folds as one evaluation: every case judged by the network that never saw it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrain.core.files import write_json
from segtrain.core.task import Task
from segtrain.recipes.run_folder import read_record, reading
from segtrain.recipes.run_report import RECORD, ScoredFiles, keep_record, write_scores_report
from segtrain.reports.summary import summarise
from segtrain.reports.tables import read_cases_csv, write_cases_csv, write_csv

VOLUMES = "volumes.csv"


def pool_folds(out: Path, validations: Sequence[Path]) -> dict[str, Any]:
    """Write cases.csv, volumes.csv, metrics.json and a report of several evaluations; returns where and what.

    The masks stay in the folders of the folds. DataError where a file of an evaluation is not readable.
    """
    scores = [case for folder in validations for case in read_cases_csv(folder / "cases.csv")]
    records = [read_record(folder / RECORD) for folder in validations]
    summaries = [read_record(folder / "metrics.json") for folder in validations]
    with reading(validations[0] / RECORD):
        task = Task.model_validate(records[0]["task"])
        files = [ScoredFiles.from_json(file) for record in records for file in record["files"]]
        failed = [(str(case), str(why)) for record in records for case, why in record["failed"]]
        presence = _added([summary["presence"] for summary in summaries])
        meaning = {"profile": records[0]["profile"], "definitions": records[0]["definitions"]}
    pooled = summarise(scores, failed=[case for case, _ in failed], definitions=meaning["definitions"])
    summary = {**pooled, "presence": presence}
    write_cases_csv(out / "cases.csv", scores)
    volumes = [row for folder in validations for row in _volumes(folder / VOLUMES)]
    write_csv(out / VOLUMES, list(volumes[0]) if volumes else ["case"], [list(row.values()) for row in volumes])
    keep_record(out, task, files, failed, {"run": str(out.parent.resolve()), **meaning})
    write_json(out / "metrics.json", summary)
    return {"out": str(out), "metrics": summary, "report": str(write_scores_report(out))}


def _added(parts: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Label -> count -> the sum over the parts."""
    total: dict[str, dict[str, float]] = {}
    for part in parts:
        for label, counts in part.items():
            row = total.setdefault(label, {})
            for name, count in counts.items():
                row[name] = row.get(name, 0) + count
    return total


def _volumes(path: Path) -> Iterator[dict[str, float | str | None]]:
    with reading(path), path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {key: text if key == "case" else float(text) if text else None for key, text in row.items()}
