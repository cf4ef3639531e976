"""What training with each loss of a sweep costs: time and memory, from what its runs wrote down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from segtrain.recipes.run_folder import read_record, reading
from segtrain.recipes.run_report import epoch_rows
from segtrain.recipes.sweep.plan import SweepRun
from segtrain.reports.contents import LossCost
from segtrain.reports.curves import SECONDS, Row

MEMORY = "peak_memory_mib"


def costs(runs: Sequence[SweepRun]) -> list[LossCost]:
    """One row a loss, in the order of the sweep. DataError where a file of a run is damaged."""
    losses = dict.fromkeys(run.entry.label for run in runs)
    return [_cost(loss, [run for run in runs if run.entry.label == loss]) for loss in losses]


def _cost(loss: str, runs: Sequence[SweepRun]) -> LossCost:
    tables = [rows for run in runs if (rows := epoch_rows(run.folder))]
    paces = [median(pace) for rows in tables if (pace := list(step_seconds(rows)))]
    minutes = [seconds / 60 for run in runs if (seconds := _run_seconds(run)) is not None]
    peaks = [max(known) for rows in tables if (known := [m for row in rows if (m := row.get(MEMORY)) is not None])]
    return LossCost(
        loss,
        len(tables),
        median(paces) if paces else None,
        min(paces, default=None),
        max(paces, default=None),
        median(minutes) if minutes else None,
        # The peak of a process holds those of the runs it did before: each is a bound, and the least one the closest.
        min(peaks, default=None),
    )


def step_seconds(rows: Sequence[Row]) -> Iterator[float]:
    """Seconds of a step in each epoch that tells; validation is not counted."""
    before = 0.0
    for row in rows:
        seconds, step = row.get(SECONDS), row.get("step")
        if step is not None:
            if seconds is not None and step > before:
                yield seconds / (step - before)
            before = step


def _run_seconds(run: SweepRun) -> float | None:
    """Of a finished run, all its sessions together."""
    if not run.is_done:
        return None
    record = run.folder.record
    seconds = read_record(record).get("seconds")
    with reading(record):
        return None if seconds is None else float(seconds)
