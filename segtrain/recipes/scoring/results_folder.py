"""Where an evaluation or a prediction is written: never into a run or over a scan, nor over results unasked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import disk_errors
from segtrain.data.write import SUFFIXES
from segtrain.recipes.lock import locked
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import RECORD

TABLES = ("metrics.json", "cases.csv", "volumes.csv", RECORD, "report.html")
PREDICTIONS = "predictions"
PROBABILITIES = "probabilities"
OUTPUTS = "outputs.json"
"""Beside the probabilities: what each output stands for."""
MADE_BY = "prediction.json"
"""Which networks drew the masks, and with which settings."""


@contextmanager
def results_folder(out: Path) -> Iterator[None]:
    """Keep a second process out of a folder, which is made where it is not there.

    ConfigError where it is a run. A folder that stays empty is taken away again.
    """
    _require_no_run(out)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    try:
        with locked(out):
            yield
    finally:
        with suppress(OSError):
            out.rmdir()


def open_results(out: Path, inputs: Iterable[ScanSource], *, overwrite: bool, masks: bool = True) -> None:
    """Make sure that only new results will lie in `out`; `masks`: predictions will be among them.

    `overwrite` deletes what an earlier evaluation or prediction wrote there. Raises ConfigError where that is not
    asked for, where `out` is a run, or where one of `inputs` would be deleted.
    """
    _require_no_run(out)
    old = list(_results_in(out, masks=masks))
    if not old:
        return
    if not overwrite:
        hint = "--overwrite deletes them, --out DIR takes another folder"
        raise ConfigError(Problem("the folder holds results already", str(out), f"as {old[0]}", hint))
    read = {source.path.resolve() for source in inputs}
    if lost := [path for path in old if path.resolve() in read]:
        hint = "take another folder with --out"
        raise ConfigError(Problem("--overwrite would delete what is to be read", str(lost[0]), hint=hint))
    with disk_errors(out):
        for path in old:
            path.unlink()


def _require_no_run(out: Path) -> None:
    if RunFolder(out).record.is_file():
        why, hint = "its report would be written over", "take another folder with --out"
        raise ConfigError(Problem("results are not written into a run", str(out), why, hint))


def sources_of(cases: Iterable[Case]) -> list[ScanSource]:
    """Every file or series that belongs to the cases."""
    return [source for case in cases for source in (*case.images, case.label) if source is not None]


def _results_in(out: Path, *, masks: bool) -> Iterator[Path]:
    yield from (path for name in TABLES if (path := out / name).is_file())
    if masks:
        yield from (path for path in (out / MADE_BY, out / PROBABILITIES / OUTPUTS) if path.is_file())
        yield from written_masks(out)
        yield from (path for path in sorted((out / PROBABILITIES).glob("*.nii")) if path.is_file())


def written_masks(out: Path) -> list[Path]:
    """Masks that a prediction or an evaluation wrote, in whatever format."""
    found = {path for suffix in SUFFIXES.values() for path in (out / PREDICTIONS).glob(f"*{suffix}")}
    return sorted(path for path in found if path.is_file())
