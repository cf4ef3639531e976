"""`segtrain compare-losses`: one fit for every loss, fold and seed, then their out-of-fold scores side by side."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded
from segtrain.core.errors import DivergedError, SegtrainError, raise_all
from segtrain.core.events import Event, Finished, RunEnded
from segtrain.data.cases import find_cases
from segtrain.data.splits import split_folds
from segtrain.recipes.assemble import answer_for, make_loss
from segtrain.recipes.comparison import conclude
from segtrain.recipes.fit import fit
from segtrain.recipes.job import Shared, decide_plan
from segtrain.recipes.run_folder import RunFolder, emptied_on_error, keep_config, locked, open_for_writing, write_record
from segtrain.recipes.sweep import SweepRun, config_of, runs_of, settings_of
from segtrain.training.devices import find_device


def compare_losses(
    loaded: Loaded, run: Path, *, resume: bool = False, overwrite: bool = False, device: str = "auto"
) -> Generator[Event, None, None]:
    """Fit whatever is not finished; a loss that diverges is kept as failed and the others go on.

    The plan, the folds and the prepared cases are made once and are the same for every run. Raises SegtrainError
    for anything the user can mend, before anything is trained where that can be known.
    """
    settings = settings_of(loaded)
    runs = runs_of(settings, run)
    try_losses(loaded, runs)
    target = find_device(device)
    open_for_writing(run, resume=resume, overwrite=overwrite)
    folder = RunFolder(run)
    with locked(run):
        with emptied_on_error(run):
            keep_config(folder, loaded)
            write_record(folder, {"seeds": list(settings.seeds), "folds": settings.folds, "device": str(target)})
            cases = find_cases(loaded.config.data)
            plan = yield from decide_plan(loaded, folder, cases, target)
            splits = split_folds(cases, settings.folds, settings.seeds[0])
            splits.write(folder.splits)
        shared = Shared(plan, splits, folder.store)
        for number, one in enumerate(runs, start=1):
            message = yield from _run(loaded, one, shared, device)
            yield RunEnded(one.name, number, len(runs), message)
        summary = conclude(run)
    failed = tuple(one.name for one in runs if one.failure is not None)
    yield Finished(run, {**summary, "run": str(run), "report": str(folder.report)}, failed)


def try_losses(loaded: Loaded, runs: list[SweepRun]) -> None:
    """Build every loss and try it on a tiny cube, before hours are spent. Raises one error with all faults."""
    problems = []
    for label in dict.fromkeys(one.entry.label for one in runs):
        first = next(one for one in runs if one.entry.label == label)
        config = config_of(loaded, first).config
        try:
            make_loss(config, answer_for(config.task, config.loss.name, loaded.folder), loaded.folder)
        except SegtrainError as error:
            problems.append(error)
    if problems:
        raise_all(type(problems[0]), [p for error in problems for p in error.problems])


def dry_run(loaded: Loaded) -> dict[str, Any]:
    """Which runs a sweep would do."""
    settings = settings_of(loaded)
    labels = [entry.label for entry in settings.losses]
    runs = runs_of(settings, Path())
    try_losses(loaded, runs)
    found = {"losses": labels, "folds": settings.folds, "seeds": list(settings.seeds), "runs": len(runs)}
    training = loaded.config.training
    if training.budget_minutes is not None:
        found["minutes_of_training"] = training.budget_minutes * len(runs)
    else:
        found["steps"] = training.epochs * training.steps_per_epoch * len(runs)
    return {"schema_version": 1, **found}


def _run(loaded: Loaded, one: SweepRun, shared: Shared, device: str) -> Generator[Event, None, str]:
    """Do one run unless it is done; returns how it ended."""
    if one.is_done:
        return "finished before"
    if one.failure is not None:
        return f"failed before: {one.failure}"
    resume = one.folder.path.exists()
    try:
        config, place = config_of(loaded, one), one.folder.path
        with closing(fit(config, place, fold=one.fold, shared=shared, resume=resume, device=device)) as events:
            for event in events:
                if not isinstance(event, Finished):
                    yield event
    except DivergedError as error:
        one.keep_failure(str(error))
        return str(error)
    return "done"
