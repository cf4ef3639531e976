"""Config -> everything a fit works with: data, plan, split, network, loss, and what a resumed run left."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, DataError, Problem
from segtrain.core.events import Event, Note
from segtrain.core.files import write_json
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.loader import BatchLoader
from segtrain.data.patches import PatchSampler
from segtrain.data.planning import make_plan
from segtrain.data.splits import Fold, Splits, check_covers, split_folds, split_share
from segtrain.data.store import StoredCase
from segtrain.inference.predict import Predictor
from segtrain.losses.registry import caution_about
from segtrain.models.unet import count_parameters
from segtrain.recipes.assemble import (
    Answer,
    TrainingLoss,
    answer_for,
    device_class,
    make_loss,
    make_model,
    training_loss,
    wishes_of,
)
from segtrain.recipes.dataset import fingerprint_all, prepare_all
from segtrain.recipes.run_folder import RunFolder, keep_config, keep_fold, read_record, write_record
from segtrain.reports.tables import write_csv
from segtrain.training import checkpoint
from segtrain.training.loop import train
from segtrain.training.optimisers import make_optimiser
from segtrain.training.state import TrainingState

TIMED_STEPS = 6
"""Steps that are timed to see how many fit the budget; the first two are the start-up."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What a sweep decides once for all of its fits."""

    plan: Plan
    splits: Splits
    """All folds."""
    store: Path
    """Where prepared cases are kept."""


@dataclass(frozen=True, eq=False)
class Job:
    """Everything a fit works with once its data are read; nothing in it changes but `state`."""

    loaded: Loaded
    folder: RunFolder
    plan: Plan
    fold: Fold
    cases: tuple[Case, ...]
    """Those of the fold."""
    stored: dict[str, StoredCase]
    answer: Answer
    loss: TrainingLoss
    loader: BatchLoader
    state: TrainingState
    device: torch.device

    @property
    def predictor(self) -> Predictor:
        """The network as it is now, ready to predict."""
        config = self.loaded.config
        return Predictor(
            self.state.model, self.plan, config.task, self.answer.activation, config.inference, self.device
        )


def set_up(
    loaded: Loaded, folder: RunFolder, fold: int | None, shared: Shared | None, device: torch.device
) -> Generator[Event, None, Job]:
    """Read the data, decide the plan and the split, build network and loss, and load what a resumed run left."""
    config = loaded.config
    started = checkpoint.find(folder.last)
    keep_config(folder, loaded)
    keep_fold(folder, fold)
    answer = answer_for(config.task, config.loss.name, loaded.folder)
    loss = make_loss(config, answer, loaded.folder)
    if caution := caution_about(config.loss.name, loaded.folder):
        yield Note(f"loss {config.loss.name}: {caution}")
    every = find_cases(config.data)
    plan = yield from decide_plan(loaded, folder, every, device, shared.plan if shared else None)
    chosen = decide_fold(loaded, folder, every, fold, shared.splits if shared else None)
    wanted = {*chosen.train, *chosen.validation}
    cases = tuple(c for c in every if c.id in wanted)
    stored = yield from prepare_all(cases, plan, config.task, shared.store if shared else folder.store)
    if started is not None:
        _require_same_data(folder, stored)
    sampler = PatchSampler([stored[c] for c in chosen.train], plan, config.patches, config.training.seed)
    loader = BatchLoader(sampler, plan, config.augmentation, config.training.seed)
    model = make_model(plan, config.model, answer, config.training.seed).to(device)
    state = TrainingState(model, make_optimiser(model, config.training), total_steps=0, steps_per_epoch=0)
    on_stages = training_loss(loss, model, plan, config.task, answer)
    job = Job(loaded, folder, plan, chosen, cases, stored, answer, on_stages, loader, state, device)
    if started is not None:
        checkpoint.load_state(started, state)
        write_history(folder, state)
        yield Note(f"going on after epoch {state.epoch} of {state.epochs}")
    else:
        state.steps_per_epoch = _steps_per_epoch(job)
        state.total_steps = config.training.epochs * state.steps_per_epoch
        write_record(folder, _facts(job))
    return job


def decide_plan(
    loaded: Loaded, folder: RunFolder, cases: list[Case], device: torch.device, given: Plan | None = None
) -> Generator[Event, None, Plan]:
    """The plan of this run: read from its file where it was made before, or the one that a sweep made."""
    if folder.plan.is_file():
        return _read_plan(folder.plan)
    plan = given
    if plan is None:
        config = loaded.config
        data = yield from fingerprint_all(cases, config.data.channel_names, config.task)
        plan = make_plan(data, config.data, wishes_of(config), device_class(device))
    write_json(folder.plan, plan.model_dump(mode="json"))
    return plan


def _read_plan(path: Path) -> Plan:
    try:
        return Plan.model_validate(read_record(path))
    except ValidationError as error:
        hint = "restore it from a copy, or start another run with --run NAME"
        raise DataError(Problem("the plan of the run is damaged", str(path), str(error), hint)) from error


def decide_fold(loaded: Loaded, folder: RunFolder, cases: list[Case], fold: int | None, given: Splits | None) -> Fold:
    """The one fold that this run trains, read from its file where it was made before."""
    settings = loaded.config.training
    if folder.splits.is_file():
        splits = Splits.read(folder.splits)
        check_covers(splits, cases)
        return splits.folds[0]
    if fold is None:
        splits = split_share(cases, settings.validation_share, settings.seed)
    else:
        every = given or split_folds(cases, settings.folds, settings.seed)
        if not 0 <= fold < len(every.folds):
            hint = "folds count from 0; training.folds sets their number"
            raise ConfigError(Problem(f"there is no fold {fold} of {len(every.folds)}", "--fold", hint=hint))
        splits = Splits((every.folds[fold],), every.seed)
    splits.write(folder.splits)
    return splits.folds[0]


def _steps_per_epoch(job: Job) -> int:
    """As configured, or as many as fit the budget at the pace of a few steps on a copy of the network."""
    settings = job.loaded.config.training
    if settings.budget_minutes is None:
        return settings.steps_per_epoch
    model = copy.deepcopy(job.state.model)
    trial = TrainingState(model, make_optimiser(model, settings), TIMED_STEPS, TIMED_STEPS)
    seconds = []
    last = time.perf_counter()
    for _ in train(trial, job.loader.batches(0, TIMED_STEPS), job.loss, settings, job.device):
        for value in trial.losses[-1:]:
            value.item()  # a step of a GPU is over when its loss is there
        seconds.append(time.perf_counter() - last)
        last = time.perf_counter()
    pace = sorted(seconds[2:TIMED_STEPS])[(TIMED_STEPS - 2) // 2]
    return max(1, int(settings.budget_minutes * 60 / pace / settings.epochs))


def write_history(folder: RunFolder, state: TrainingState) -> None:
    """metrics.csv: a row an epoch."""
    if state.history:
        header = list(state.history[0])
        write_csv(folder.metrics, header, [[row.get(key) for key in header] for row in state.history])


def _require_same_data(folder: RunFolder, stored: Mapping[str, StoredCase]) -> None:
    """DataError where a scan or a mask is another one than when the run began."""
    known = read_record(folder.record).get("data", {})
    changed = [case for case, found in stored.items() if known.get(case, found.key) != found.key]
    if changed:
        what = "scans or masks are not the ones this run began with"
        hint = "bring them back as they were, or start another run with --run NAME"
        raise DataError(Problem(what, str(folder.path), f"cases {', '.join(changed)}", hint))


def _facts(job: Job) -> dict[str, Any]:
    """What run.json says of this run beside versions and host."""
    config = job.loaded.config
    return {
        "seed": config.training.seed,
        "device": str(job.device),
        "threads": torch.get_num_threads(),
        "parameters": count_parameters(job.state.model),
        "steps_per_epoch": job.state.steps_per_epoch,
        "total_steps": job.state.total_steps,
        "plan": job.plan.hash,
        "cases": {"train": len(job.fold.train), "validation": len(job.fold.validation)},
        "data": {case: stored.key for case, stored in job.stored.items()},
    }
