"""`segtrain report`: the folder of a run, an evaluation or a sweep -> its report.html, made anew from its files."""

from __future__ import annotations

from pathlib import Path

from segtrain.core.errors import DataError, Problem
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import write_run_report, write_scores_report
from segtrain.recipes.sweep.comparison import conclude


def rebuild(folder: Path) -> Path:
    """Write report.html; returns its path. DataError where the folder is neither of the three."""
    run = RunFolder(folder)
    if (folder / "runs").is_dir() and run.record.is_file():
        conclude(folder)
        return run.report
    if run.record.is_file():
        write_run_report(run)
        return run.report
    if (folder / "metrics.json").is_file():
        return write_scores_report(folder)
    why = "it holds no run.json and no metrics.json"
    hint = "give the folder of a fit, an eval or a compare-losses"
    raise DataError(Problem("there is nothing to report on", str(folder), why, hint))
