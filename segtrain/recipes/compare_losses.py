"""`segtrain compare-losses`: one fit for every loss, fold and seed, then their out-of-fold scores side by side."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from segtrain.config.code import SWEEP
from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import SegtrainError, raise_all
from segtrain.core.events import Event, Finished, Note
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.splits import Splits, split_folds
from segtrain.execution.executor import ONE_PROCESS, Executor, Processes
from segtrain.recipes.assemble import answer_for, make_loss
from segtrain.recipes.dataset import logged
from segtrain.recipes.fitting.begun_with import BESIDE_A_SWEEP, keep_code, keep_config
from segtrain.recipes.fitting.decide import decide_plans, keep_splits, prepare_cases, require_same_data, store_of
from segtrain.recipes.fitting.init_from import followed
from segtrain.recipes.fitting.sound import Shared, told_before
from segtrain.recipes.fitting.watch import require_watchers
from segtrain.recipes.room import (
    KEPT_CHECKPOINTS,
    Need,
    cases_need,
    checkpoints_need,
    masks_need,
    require_memory,
    require_room,
)
from segtrain.recipes.run_folder import RunFolder, emptied_on_error, opened, require_place, write_record
from segtrain.recipes.sweep.comparison import conclude
from segtrain.recipes.sweep.halving import halve, require_margin
from segtrain.recipes.sweep.plan import Meaning, SweepRun, config_of, meaning_of, runs_of, settings_of
from segtrain.recipes.sweep.rungs import decisions_in, rung_epochs, still_in
from segtrain.recipes.sweep.runs import Jobs, do_runs
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
    the same for every loss and seed. What `compare.strategy` says of losses that are dropped early, `halving` does.
    Raises SegtrainError for anything the user can mend, before anything is trained, and before anything is deleted
    where that can be known.
    """
    loaded = followed(loaded)
    settings = settings_of(loaded)
    folder, runs = RunFolder(run), runs_of(settings, run)
    require_place(run, resume=resume, overwrite=overwrite)
    require_watchers(loaded.config.training)
    try_losses(loaded, runs)
    meaning = try_meaning(loaded)
    target = find_device(device)
    at_once = executor.at_once if isinstance(executor, Processes) else 1
    settled = resume and all(one.settled for one in still_in(runs, decisions_in(run, loaded)))
    cases = [] if settled else find_cases(loaded.config.data)
    drawn = None if settled else split_folds(cases, settings.folds, settings.seeds[0])
    with opened(run, resume=resume, overwrite=overwrite):
        with emptied_on_error(run):
            keep_config(folder, loaded, BESIDE_A_SWEEP)
            code = keep_code(folder, loaded, SWEEP)
            yield from told_before(loaded.config.data, code, meaning.cautions, begins=not resume)
            about = {"seeds": list(settings.seeds), "folds": settings.folds, "device": str(target)}
            write_record(folder, {**about, "meaning": meaning.model_dump(mode="json")})
            sharing = share(loaded, folder, cases, drawn, target, at_once) if drawn else None
            shared = [] if sharing is None else (yield from logged(folder, sharing))
        jobs = Jobs(loaded, runs, runs, shared, device)
        broken = yield from (halve(jobs, meaning, executor) if rung_epochs(loaded) else do_runs(jobs, executor))
        summary = {**conclude(run), "broken_runs": broken}
        yield from (Note(f"{loss} has failed: {why}") for loss, why in summary["nothing_found"].items())
    failed = tuple(one.name for one in runs if one.failure is not None or one.name in broken)
    yield Finished(run, {**summary, "run": str(run), "report": str(folder.report)}, failed)


def share(
    loaded: Loaded, folder: RunFolder, cases: Sequence[Case], drawn: Splits, device: torch.device, at_once: int = 1
) -> Generator[Event, None, list[Shared]]:
    """What the fits of each fold have in common. A case is prepared once for all folds whose plans prepare it alike.

    DataError where the sweep was begun with other scans; ResourceError where disk or memory have too little room for
    all of them, of which `at_once` are done on this machine at the same time.
    """
    splits = keep_splits(folder.splits, cases, drawn)
    paths = {folder.path / "plans" / f"{number}.json": fold for number, fold in enumerate(splits.folds)}
    store = store_of(loaded, folder)
    plans = yield from decide_plans(loaded, paths, cases, device, store)
    require_memory(plans[0], loaded.config.training, device, at_once)
    require_room(_needs(loaded, folder, cases, plans, at_once))
    prepared: dict[str, dict[str, Path]] = {}
    for plan in plans:
        if plan.preparation_hash not in prepared:
            prepared[plan.preparation_hash] = yield from prepare_cases(loaded, cases, plan, store)
    data = {case: path.name for case, path in prepared[plans[0].preparation_hash].items()}
    require_same_data(folder.record, data)
    write_record(folder, {"data": data})
    return [Shared(plan, splits, tuple(cases), prepared[plan.preparation_hash]) for plan in plans]


def _needs(
    loaded: Loaded, folder: RunFolder, cases: Sequence[Case], plans: Sequence[Plan], at_once: int
) -> Iterator[Need]:
    """What a sweep will write that is not there yet: each run has the masks of its fold, and all folds those of all."""
    store = store_of(loaded, folder)
    runs = [one for one in runs_of(settings_of(loaded), folder.path) if not one.folder.is_finished]
    by_preparation = {plan.preparation_hash: plan for plan in plans}
    yield from (cases_need(loaded, cases, plan, store) for plan in by_preparation.values())
    if runs:
        first = config_of(loaded, runs[0])
        answer = answer_for(first.config.task, first.config.loss.name, first.folder)
        count = KEPT_CHECKPOINTS * len(runs) + at_once
        yield checkpoints_need(first, plans[0], answer, folder.path, count)
        masks = masks_need(cases, folder.path)
        yield replace(masks, size_bytes=masks.size_bytes * len(runs) // len(plans))


def try_meaning(loaded: Loaded) -> Meaning:
    """What the sweep must know of losses and metrics. ConfigError where they do not fit what is asked of them."""
    meaning = meaning_of(loaded)
    rung_epochs(loaded)
    require_margin(loaded, meaning)
    return meaning


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
