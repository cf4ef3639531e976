"""Config -> everything a fit works with: data, plan, split, network, loss, and what a resumed run left."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from segtrain.config.code import FIT
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Note
from segtrain.core.files import write_json
from segtrain.core.plan import Plan
from segtrain.core.words import count
from segtrain.data.augment.amount import with_share
from segtrain.data.loader import BatchLoader
from segtrain.data.patches import PatchSampler
from segtrain.data.settings import AugmentSettings
from segtrain.data.splits import Fold
from segtrain.data.store import load
from segtrain.models.unet import count_parameters
from segtrain.recipes.assemble import make_model, training_loss
from segtrain.recipes.fitting.begun_with import BESIDE_A_FIT, keep_code, keep_config, keep_fold
from segtrain.recipes.fitting.budget import steps_per_epoch
from segtrain.recipes.fitting.decide import decide_plans, keep_splits, prepare_cases, require_same_data, store_of
from segtrain.recipes.fitting.init_from import start, try_network
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.seen import seen_in_training
from segtrain.recipes.fitting.share import share_of, spread
from segtrain.recipes.fitting.sound import Shared, Sound, cautions_in, told_before
from segtrain.recipes.room import fit_needs, require_memory, require_room
from segtrain.recipes.run_folder import RunFolder, append_log, mend_log, read_record, reading, write_record
from segtrain.reports.tables import write_csv
from segtrain.training import checkpoint
from segtrain.training.devices import on_device
from segtrain.training.ranks import ALONE, Ranks
from segtrain.training.state import TrainingState, new_state


@dataclass(frozen=True, eq=False)
class Decided:
    """What is decided and prepared before there is a network, and is the same for all ranks."""

    plan: Plan
    fold: Fold
    cases: tuple[Case, ...]
    prepared: Mapping[str, Path]
    """Case id of the fold -> its file in the store."""
    started: Path | None
    """The checkpoint to go on from; None begins."""
    steps_per_epoch: int | None
    """As a sweep has them."""


def set_up(
    sound: Sound, folder: RunFolder, fold: int | None, shared: Shared | None, device: torch.device, ranks: Ranks = ALONE
) -> Generator[Event, None, Job]:
    """Decide split and plan, prepare the data, build the network, and load what a resumed run left.

    This is the first of several ranks: the others wait for what it decided (`recipes.follow`).
    """
    began = _clock(folder)
    decided = yield from decide(sound, folder, fold, shared, device, ranks)
    job = build(sound, ranks.shared(decided), folder, device, ranks, began)
    state = job.state
    if decided.started is not None:
        write_history(folder, state)
        mend_log(folder, state.history)
        append_log(folder, "resumed", epoch=state.epoch, step=state.step)
        yield Note(f"going on after epoch {state.epoch} of {state.epochs}")
    else:
        write_record(folder, facts := _facts(job))
        if minutes := sound.loaded.config.training.budget_minutes:
            steps = f"{count(state.epochs, 'epoch')} of {count(state.steps_per_epoch, 'step')}"
            told = f"{steps} fit the budget of {minutes:g} minutes, in place of training.epochs and steps_per_epoch"
            yield Note(f"{told}; start-up, validation and report come on top")
        append_log(folder, "started", **{key: value for key, value in facts.items() if key != "data"})
        if job.start is not None:
            source = [job.start.source.splits]
            seen = seen_in_training(source, job.fold.validation, "the run of model.init_from")
            yield from map(Note, (job.start.told, *seen))
        open_share = sound.loaded.config.augmentation.share is None and shared is None
        if open_share and job.loader.changed_share < 1:
            share = f"augmentation changes {100 * job.loader.changed_share:.3g} % of the patches"
            yield Note(f"{share}: so short a training sees each scan seldom (augmentation.share)")
    return job


def decide(
    sound: Sound, folder: RunFolder, fold: int | None, shared: Shared | None, device: torch.device, ranks: Ranks
) -> Generator[Event, None, Decided]:
    """Everything that comes before a network, with all of its files.

    ConfigError where ranks cannot share a batch, DataError where the scans of a resumed run are others now.
    """
    loaded, config = sound.loaded, sound.loaded.config
    if config.training.compile and ranks.size > 1:
        hint = "training.compile=false, or one process"
        raise ConfigError(Problem("torch.compile is for one process", "training.compile", hint=hint))
    if config.training.batch_size is not None:
        share_of(config.training.batch_size, config.training, ranks)  # before scans are read, where it is known
    started = checkpoint.find(folder.last)
    keep_config(folder, loaded, BESIDE_A_FIT)
    keep_fold(folder, fold)
    code = keep_code(folder, loaded, FIT)
    if shared is None:  # a sweep has told it once for all of its runs
        yield from told_before(config.data, code, cautions_in(loaded), begins=started is None)
    (chosen,) = keep_splits(folder.splits, sound.cases, sound.splits).folds
    if shared is not None:
        write_json(folder.plan, shared.plan.model_dump(mode="json"))
    store = store_of(loaded, folder)
    (plan,) = yield from decide_plans(loaded, {folder.plan: chosen}, sound.cases, device, store)
    share_of(plan.batch_size, config.training, ranks)
    if started is None:
        try_network(config, plan, sound.answer)
    cases = tuple(c for c in sound.cases if c.id in {*chosen.train, *chosen.validation})
    require_memory(plan, config.training, device)
    if shared is None:
        require_room(fit_needs(loaded, folder, (plan, chosen), sound.answer, cases, store))
    prepared = shared.prepared if shared else (yield from prepare_cases(loaded, cases, plan, store))
    if started is not None:
        require_same_data(folder.record, {case.id: load(prepared[case.id]).key for case in cases})
    return Decided(plan, chosen, cases, dict(prepared), started, shared.steps_per_epoch if shared else None)


def build(sound: Sound, decided: Decided, folder: RunFolder, device: torch.device, ranks: Ranks, began: float) -> Job:
    """What every rank trains with: at the first step, or where a checkpoint left off."""
    plan, fold, config = decided.plan, decided.fold, sound.loaded.config
    places = share_of(plan.batch_size, config.training, ranks)
    stored = {case.id: load(decided.prepared[case.id]) for case in decided.cases}
    sampler = PatchSampler([stored[c] for c in fold.train], plan, config.patches, config.training.seed)
    network = make_model(plan, config.model, sound.answer, config.training.seed)
    begun = None if decided.started is not None else start(config, plan, sound.answer, network)
    model = on_device(network, device)
    state = new_state(model, config.training)
    loss = training_loss(sound.loss, model, plan, config.task, sound.answer)

    def loader(augmentation: AugmentSettings) -> BatchLoader:
        return BatchLoader(sampler, plan, augmentation, config.training.seed, loss.map_maker, device, places)

    data, changed = (plan, fold, decided.cases, stored), config.augmentation
    job = Job(sound.loaded, folder, *data, sound.answer, loss, loader(changed), state, device, began, ranks, begun)
    if decided.started is not None:
        checkpoint.load_state(decided.started, state)
    else:
        state.steps_per_epoch = decided.steps_per_epoch or steps_per_epoch(job)
        state.total_steps = config.training.planned_epochs * state.steps_per_epoch
    state.spread = spread(model, loss, len(plan.channels), ranks)
    scans = [stored[case].classes.size for case in fold.train]
    return replace(job, loader=loader(with_share(changed, state.total_steps * plan.batch_size, plan.patch_size, scans)))


def _clock(folder: RunFolder) -> float:
    """`Job.began`: now, less the seconds of earlier sessions."""
    known = read_record(folder.record) if folder.record.is_file() else {}
    with reading(folder.record):
        return time.perf_counter() - float(known.get("seconds", 0))


def write_history(folder: RunFolder, state: TrainingState) -> None:
    """metrics.csv: a row an epoch."""
    if state.history:
        header = list(state.history[0])
        write_csv(folder.metrics, header, [[row.get(key) for key in header] for row in state.history])


def _facts(job: Job) -> dict[str, Any]:
    """What run.json says of this run beside versions and host."""
    config = job.loaded.config
    return {
        "seed": config.training.seed,
        "device": str(job.device),
        "threads": torch.get_num_threads(),
        "ranks": job.ranks.size,
        "parameters": count_parameters(job.state.model),
        "steps_per_epoch": job.state.steps_per_epoch,
        "total_steps": job.state.total_steps,
        "augmented_share": job.loader.changed_share,
        "plan": job.plan.hash,
        "cases": {"train": len(job.fold.train), "validation": len(job.fold.validation)},
        "data": {case: stored.key for case, stored in job.stored.items()},
        "cautions": list(cautions_in(job.loaded)),
        **({} if job.start is None else {"init_from": job.start.record}),
    }
