"""Config -> everything a fit works with: data, plan, split, network, loss, and what a resumed run left."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Note
from segtrain.core.files import write_json
from segtrain.core.memory import memory_errors
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.loader import BatchLoader
from segtrain.data.patches import PatchSampler
from segtrain.data.splits import Fold, Splits
from segtrain.data.store import StoredCase, load
from segtrain.inference.predict import Predictor
from segtrain.losses.registry import caution_about
from segtrain.models.unet import count_parameters
from segtrain.recipes.assemble import (
    Answer,
    TrainingLoss,
    answer_for,
    make_loss,
    make_model,
    metric_cards,
    training_loss,
)
from segtrain.recipes.dataset import prepare_all
from segtrain.recipes.decide import decide_plans, draw_split, keep_splits, require_same_data
from segtrain.recipes.run_folder import (
    RunFolder,
    keep_code,
    keep_config,
    keep_fold,
    read_record,
    reading,
    write_record,
)
from segtrain.reports.tables import write_csv
from segtrain.training import checkpoint
from segtrain.training.devices import on_device
from segtrain.training.loop import train
from segtrain.training.optimisers import make_optimiser
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState

TIMED_STEPS = 6
"""Steps that are timed to see how many fit the budget; the first two are the start-up."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What a sweep decides once for all of its fits of one fold."""

    plan: Plan
    splits: Splits
    """All folds."""
    cases: tuple[Case, ...]
    prepared: Mapping[str, Path]
    """Case id -> its folder in the store."""
    steps_per_epoch: int | None = None
    """As the first run of the sweep has them; None leaves them to the config."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A config that was tried, and its cases: everything that can be found out before a run folder is touched."""

    loaded: Loaded
    answer: Answer
    loss: nn.Module
    cases: tuple[Case, ...]
    splits: Splits
    """The one division of this fit, as it would be drawn now."""


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
    began: float
    """On the clock of time.perf_counter, as if the earlier sessions had gone before without a break."""

    @property
    def seconds(self) -> float:
        """Time of this session and of the earlier ones."""
        return time.perf_counter() - self.began

    @property
    def predictor(self) -> Predictor:
        """The network as it is now, ready to predict."""
        config = self.loaded.config
        return Predictor(
            self.state.judged, self.plan, config.task, self.answer.activation, config.inference, self.device
        )


def try_config(loaded: Loaded, fold: int | None, shared: Shared | None = None) -> Sound:
    """Build the loss and the metrics, find the cases and divide them; reads no voxel and writes nothing.

    Raises ConfigError and DataError for what the user can mend.
    """
    config = loaded.config
    metric_cards(config.evaluation.metrics, loaded.folder)
    answer = answer_for(config.task, config.loss.name, loaded.folder)
    loss = make_loss(config, answer, loaded.folder)
    cases = shared.cases if shared else tuple(find_cases(config.data))
    splits = draw_split(loaded, cases, fold, shared.splits if shared else None)
    return Sound(loaded, answer, loss, cases, splits)


def set_up(
    sound: Sound, folder: RunFolder, fold: int | None, shared: Shared | None, device: torch.device
) -> Generator[Event, None, Job]:
    """Decide split and plan, prepare the data, build the network, and load what a resumed run left."""
    loaded, config = sound.loaded, sound.loaded.config
    began = _clock(folder)
    started = checkpoint.find(folder.last)
    keep_config(folder, loaded)
    keep_fold(folder, fold)
    keep_code(folder, loaded, (config.loss.name, *config.evaluation.metrics))
    if caution := caution_about(config.loss.name, loaded.folder):
        yield Note(f"loss {config.loss.name}: {caution}")
    (chosen,) = keep_splits(folder.splits, sound.cases, sound.splits).folds
    if shared is not None:
        write_json(folder.plan, shared.plan.model_dump(mode="json"))
    (plan,) = yield from decide_plans(loaded, {folder.plan: chosen}, sound.cases, device)
    _require_parts(plan, config.training)
    cases = tuple(c for c in sound.cases if c.id in {*chosen.train, *chosen.validation})
    prepared = shared.prepared if shared else (yield from prepare_all(cases, plan, config.task, folder.store))
    stored = {case.id: load(prepared[case.id]) for case in cases}
    sampler = PatchSampler([stored[c] for c in chosen.train], plan, config.patches, config.training.seed)
    model = on_device(make_model(plan, config.model, sound.answer, config.training.seed), device)
    state = new_state(model, config.training)
    loss = training_loss(sound.loss, model, plan, config.task, sound.answer)
    loader = BatchLoader(sampler, plan, config.augmentation, config.training.seed, loss.make_maps)
    job = Job(loaded, folder, plan, chosen, cases, stored, sound.answer, loss, loader, state, device, began)
    if started is not None:
        _go_on(job, started)
        yield Note(f"going on after epoch {state.epoch} of {state.epochs}")
    else:
        state.steps_per_epoch = (shared.steps_per_epoch if shared else None) or _steps_per_epoch(job)
        state.total_steps = config.training.epochs * state.steps_per_epoch
        write_record(folder, _facts(job))
    return job


def _require_parts(plan: Plan, settings: TrainingSettings) -> None:
    """ConfigError where a batch cannot go through the network in as many equal parts as asked for."""
    if plan.batch_size % settings.accumulation:
        what = f"a batch of {plan.batch_size} has no {settings.accumulation} equal parts"
        hint = f"set training.batch_size to a multiple of {settings.accumulation}"
        raise ConfigError(Problem(what, "training.accumulation", hint=hint))


def new_state(model: nn.Module, settings: TrainingSettings, steps: int = 0) -> TrainingState:
    """Before the first of so many steps, in one epoch; 0: not known yet."""
    average = None if settings.ema_decay is None else copy.deepcopy(model).requires_grad_(False)
    return TrainingState(model, make_optimiser(model, settings), steps, steps, average)


def _clock(folder: RunFolder) -> float:
    """`Job.began`: now, less the seconds of earlier sessions."""
    known = read_record(folder.record) if folder.record.is_file() else {}
    with reading(folder.record):
        return time.perf_counter() - float(known.get("seconds", 0))


def _go_on(job: Job, started: Path) -> None:
    """Load where the run was broken off. DataError where its scans are others now."""
    require_same_data(job.folder.record, {case: stored.key for case, stored in job.stored.items()})
    checkpoint.load_state(started, job.state)
    write_history(job.folder, job.state)


def _steps_per_epoch(job: Job) -> int:
    """As configured, or as many as fit the budget at the pace of a few steps on a copy of the network."""
    settings = job.loaded.config.training
    if settings.budget_minutes is None:
        return settings.steps_per_epoch
    with memory_errors("copying the network to time a few steps", "set smaller model.widths", where=str(job.device)):
        model = copy.deepcopy(job.state.model)
    trial = new_state(model, settings, TIMED_STEPS)
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
