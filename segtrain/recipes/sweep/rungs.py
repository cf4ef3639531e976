"""Where losses of a sweep may be dropped, what was decided there, and who is still in: from the folder of the sweep."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from itertools import count as counting
from math import ceil, floor
from pathlib import Path

from pydantic import TypeAdapter

from segtrain.config.load import Loaded
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import write_json
from segtrain.core.words import count
from segtrain.recipes.run_folder import read_record, reading
from segtrain.recipes.sweep.plan import SweepRun, settings_of
from segtrain.reports.contents import Rung
from segtrain.training.settings import EPOCH_SECONDS, TrainingSettings

RUNG: TypeAdapter[Rung] = TypeAdapter(Rung)
FEWEST_RUNGS = 2
ROUNDING = 9
"""Digits that count of an epoch: 0.7 of 10 are 7, and not the whole number before 6.999999999999999."""


def rung_epochs(loaded: Loaded) -> tuple[int, ...]:
    """After which epochs losses are judged: validated ones at or before the shares; none with the strategy `full`.

    Where a share is twice the one before, so is its epoch at least: a loss that learns half as fast is not dropped.
    ConfigError where the trainings are too short for one.
    """
    settings, training = settings_of(loaded), loaded.config.training
    if settings.strategy == "full":
        return ()
    shares, epochs, every = settings.halving.rungs, training.planned_epochs, training.validate_every
    found = _rungs(shares, epochs, every)
    if len(found) < FEWEST_RUNGS:
        what = f"with {count(epochs, 'epoch')} there are no two rungs before the end"
        why = "losses are judged after an epoch that is validated, and by what the best one had at the rung before"
        raise ConfigError(Problem(what, "compare.halving", why, _enough(shares, training)))
    return found


def _rungs(shares: Sequence[float], epochs: int, every: int) -> tuple[int, ...]:
    """The epochs of the rungs that come before the end, where every so many are validated."""
    found: list[int] = []
    for place, share in enumerate(shares):
        doubled = place > 0 and share >= 2 * shares[place - 1]
        least = (2 * found[-1] if doubled else found[-1] + every) if found else every
        found.append(max(least, every * floor(round(share * epochs / every, ROUNDING))))
    return tuple(epoch for epoch in found if epoch < epochs)


def _enough(shares: Sequence[float], training: TrainingSettings) -> str:
    """The fewest epochs that have two rungs, as they would be set, and what else would do."""
    every = training.validate_every
    fewest = next(n for n in counting(training.planned_epochs + 1) if len(_rungs(shares, n, every)) >= FEWEST_RUNGS)
    least = [f"training.epochs={fewest}"] if training.epochs < fewest else []
    if training.budget_minutes is not None:
        least.append(f"training.budget_minutes={ceil(100 * fewest * EPOCH_SECONDS / 60) / 100:g}")
    others = "an earlier rung in compare.halving.rungs"
    others += " or a smaller training.validate_every" if every > 1 else ""
    return f"{' and '.join(least)}: the least that works; otherwise {others}"


def decisions_in(sweep: Path, loaded: Loaded) -> list[Rung]:
    """What was decided so far, the earliest first. DataError where a file is damaged."""
    found = (read_rung(sweep, epoch) for epoch in rung_epochs(loaded))
    return [rung for rung in found if rung is not None]


def still_in(runs: Sequence[SweepRun], taken: Collection[Rung]) -> list[SweepRun]:
    """The runs of losses that were not dropped, in their order."""
    gone = {loss for rung in taken for loss in rung.dropped}
    return [run for run in runs if run.entry.label not in gone]


def saved_share(runs: Sequence[SweepRun], taken: Collection[Rung]) -> float:
    """Share of the steps of `full` that were not done because losses were dropped."""
    left_out = {loss: 1 - rung.epoch / rung.epochs for rung in taken for loss in rung.dropped}
    return sum(left_out.get(run.entry.label, 0.0) for run in runs) / len(runs)


def read_rung(sweep: Path, epoch: int) -> Rung | None:
    """What was decided at a rung; None where it was not reached. DataError where the file is damaged."""
    file = _file(sweep, epoch)
    if not file.is_file():
        return None
    record = read_record(file)
    with reading(file):
        return RUNG.validate_python({key: value for key, value in record.items() if key != "schema_version"})


def keep_rung(sweep: Path, rung: Rung) -> None:
    """Write a decision down, whole or not at all."""
    write_json(_file(sweep, rung.epoch), {"schema_version": 1, **asdict(rung)})


def _file(sweep: Path, epoch: int) -> Path:
    return sweep / "rungs" / f"{epoch}.json"
