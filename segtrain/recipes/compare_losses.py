"""`segtrain compare-losses`: one fit for every loss, fold and seed, then their out-of-fold scores side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import SegtrainError, raise_all
from segtrain.core.events import Event, Finished
from segtrain.data.cases import find_cases
from segtrain.data.splits import Splits, split_folds
from segtrain.execution.executor import ONE_PROCESS, Executor
from segtrain.recipes.assemble import answer_for, make_loss
from segtrain.recipes.comparison import conclude
from segtrain.recipes.dataset import logged
from segtrain.recipes.decide import decide_plans, keep_splits, prepare_cases, require_same_data, store_of
from segtrain.recipes.init_from import followed
from segtrain.recipes.job import Shared
from segtrain.recipes.lock import locked
from segtrain.recipes.run_folder import (
    RunFolder,
    emptied_on_error,
    keep_code,
    keep_config,
    open_for_writing,
    require_place,
    write_record,
)
from segtrain.recipes.sweep import SweepRun, config_of, meaning_of, runs_of, settings_of
from segtrain.recipes.sweep_runs import Jobs, do_runs
from segtrain.recipes.watch import require_watchers
from segtrain.training.devices import find_device


def compare_losses(
    loaded: Loaded,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    executor: Executor = ONE_PROCESS,
) -> Generator[Event, None, None]:
    """Fit whatever is not finished; a loss that diverges is kept as failed and the others go on.

    The `executor` says where runs are done, and how many at once; a run that breaks off leaves the others, and is tried
    again with `resume`. Folds, the plan of each, the prepared cases and the number of steps are decided once and are
    the same for every loss and seed.
    Raises SegtrainError for anything the user can mend, before anything is trained, and before anything is deleted
    where that can be known.
    """
    loaded = followed(loaded)
    settings = settings_of(loaded)
    folder, runs = RunFolder(run), runs_of(settings, run)
    require_place(run, resume=resume, overwrite=overwrite)
    require_watchers(loaded.config.training)
    try_losses(loaded, runs)
    meaning = meaning_of(loaded)
    target = find_device(device)
    settled = resume and all(one.settled for one in runs)
    cases = [] if settled else find_cases(loaded.config.data)
    drawn = None if settled else split_folds(cases, settings.folds, settings.seeds[0])
    open_for_writing(run, resume=resume, overwrite=overwrite)
    with locked(run):
        with emptied_on_error(run):
            keep_config(folder, loaded)
            keep_code(folder, loaded, (loaded.config.model.name, *(e.name for e in settings.losses), *meaning.best))
            about = {"seeds": list(settings.seeds), "folds": settings.folds, "device": str(target)}
            write_record(folder, {**about, "meaning": meaning.model_dump(mode="json")})
            shared = (yield from logged(folder, share(loaded, folder, cases, drawn, target))) if drawn else []
        broken = yield from do_runs(Jobs(loaded, runs, shared, device), executor)
        summary = {**conclude(run), "broken_runs": broken}
    failed = tuple(one.name for one in runs if one.failure is not None or one.name in broken)
    yield Finished(run, {**summary, "run": str(run), "report": str(folder.report)}, failed)


def share(
    loaded: Loaded, folder: RunFolder, cases: Sequence[Case], drawn: Splits, device: torch.device
) -> Generator[Event, None, list[Shared]]:
    """What the fits of each fold have in common. A case is prepared once for all folds whose plans prepare it alike.

    DataError where the sweep was begun with other scans.
    """
    splits = keep_splits(folder.splits, cases, drawn)
    paths = {folder.path / "plans" / f"{number}.json": fold for number, fold in enumerate(splits.folds)}
    store = store_of(loaded, folder)
    plans = yield from decide_plans(loaded, paths, cases, device, store)
    prepared: dict[str, dict[str, Path]] = {}
    for plan in plans:
        if plan.preparation_hash not in prepared:
            prepared[plan.preparation_hash] = yield from prepare_cases(loaded, cases, plan, store)
    data = {case: path.name for case, path in prepared[plans[0].preparation_hash].items()}
    require_same_data(folder.record, data)
    write_record(folder, {"data": data})
    return [Shared(plan, splits, tuple(cases), prepared[plan.preparation_hash]) for plan in plans]


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
    require_watchers(loaded.config.training)
    try_losses(loaded, runs)
    meaning_of(loaded)
    found = {"losses": labels, "folds": settings.folds, "seeds": list(settings.seeds), "runs": len(runs)}
    training = loaded.config.training
    if training.budget_minutes is not None:
        found["minutes_of_training"] = training.budget_minutes * len(runs)
    else:
        found["steps"] = training.planned_epochs * training.steps_per_epoch * len(runs)
    return {"schema_version": 1, **found}
