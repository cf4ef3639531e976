"""`segtrain fit`: scans in, checkpoints and a report out."""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segtrain.config.dump import to_yaml
from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import CheckpointSaved, EpochEnded, Event, Finished, Note, Validated
from segtrain.core.files import write_json, write_text
from segtrain.core.plan import Plan
from segtrain.data.cases import find_cases
from segtrain.data.loader import BatchLoader
from segtrain.data.patches import PatchSampler
from segtrain.data.planning import make_plan
from segtrain.data.splits import Fold, Splits, check_covers, split_folds, split_share
from segtrain.data.store import StoredCase
from segtrain.inference.predict import Predictor
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
from segtrain.recipes.evaluate import finish_evaluation, predict_cases
from segtrain.recipes.run_folder import RunFolder, append_log, locked, open_for_writing, write_record
from segtrain.recipes.validation import mean_scores, score_stored
from segtrain.reports.tables import write_csv
from segtrain.training import checkpoint
from segtrain.training.devices import find_device
from segtrain.training.loop import train
from segtrain.training.optimisers import make_optimiser
from segtrain.training.state import TrainingState

TIMED_STEPS = 6
"""Steps that are timed to see how many fit the budget; the slowest third is the start-up."""


@dataclass(frozen=True, eq=False)
class Job:
    """Everything a fit works with once its data are read; nothing in it changes but `state`."""

    loaded: Loaded
    folder: RunFolder
    plan: Plan
    fold: Fold
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


def fit(
    loaded: Loaded,
    run: Path,
    *,
    fold: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> Iterator[Event]:
    """Train on `loaded` into the folder `run`; the last event is Finished.

    Raises SegtrainError for anything the user can mend. Broken off from outside, it saves a checkpoint first.
    """
    target = find_device(device)
    open_for_writing(run, resume=resume, overwrite=overwrite)
    with locked(run):
        job = yield from set_up(loaded, RunFolder(run), fold, target)
        yield from run_training(job)
        yield from finish(job)


def set_up(loaded: Loaded, folder: RunFolder, fold: int | None, device: torch.device) -> Generator[Event, None, Job]:
    """Read the data, decide the plan and the split, build network and loss, and load what a resumed run left."""
    config = loaded.config
    started = checkpoint.find(folder.last)
    _require_same_config(folder, loaded, resumed=started is not None)
    answer = answer_for(config.task, config.loss.name, loaded.folder)
    loss = make_loss(config, answer, loaded.folder)
    cases = find_cases(config.data)
    plan = yield from _plan(loaded, folder, cases, device)
    splits = _splits(loaded, folder, cases, fold)
    chosen = splits.folds[0]
    wanted = {*chosen.train, *chosen.validation}
    stored = yield from prepare_all([c for c in cases if c.id in wanted], plan, config.task, folder.store)
    sampler = PatchSampler([stored[c] for c in chosen.train], plan, config.patches, config.training.seed)
    loader = BatchLoader(sampler, plan, config.augmentation, config.training.seed)
    model = make_model(plan, config.model, answer, config.training.seed).to(device)
    state = TrainingState(model, make_optimiser(model, config.training), total_steps=0, steps_per_epoch=0)
    on_stages = training_loss(loss, model, config.task, answer)
    job = Job(loaded, folder, plan, chosen, stored, answer, on_stages, loader, state, device)
    if started is not None:
        checkpoint.load_state(started, state)
        yield Note(f"going on after epoch {state.epoch} of {state.epochs}")
    else:
        state.steps_per_epoch = _steps_per_epoch(job)
        state.total_steps = config.training.epochs * state.steps_per_epoch
        write_record(folder, _facts(job))
    return job


def run_training(job: Job) -> Iterator[Event]:
    """All remaining epochs; validates and saves while the loop waits at an epoch's end."""
    settings = job.loaded.config.training
    state = job.state
    with closing(job.loader.batches(state.step, state.total_steps)) as batches:
        for event in train(state, batches, job.loss, settings, job.device):
            yield event
            if isinstance(event, EpochEnded):
                yield from _end_epoch(job, event)


def _end_epoch(job: Job, event: EpochEnded) -> Iterator[Event]:
    """Validate when it is due, note the row, save `last`, and `best` where it got better."""
    state, config = job.state, job.loaded.config
    due = event.epoch % config.training.validate_every == 0 or event.epoch == event.epochs
    means: dict[str, float | None] = {}
    improved = False
    if due:
        metrics = config.evaluation.metrics
        scores = score_stored(job.predictor, [job.stored[c] for c in job.fold.validation], metrics)
        means = mean_scores(scores, config.task, metrics)
        headline = means[metrics[0]]
        improved = headline is not None and (state.best is None or headline > state.best)
        if improved:
            state.best = headline
    state.history.append(
        {
            "epoch": event.epoch,
            "step": event.step,
            "train_loss": event.train_loss,
            "learning_rate": event.learning_rate,
            "seconds": event.seconds,
            **{metric: means.get(metric) for metric in config.evaluation.metrics},
        }
    )
    about = _about(job)
    if improved or not job.folder.best.exists():
        checkpoint.save(job.folder.best, state, about)
        yield CheckpointSaved("best", job.folder.best)
    checkpoint.save(job.folder.last, state, about)
    header = list(state.history[0])
    write_csv(job.folder.metrics, header, [[row.get(key) for key in header] for row in state.history])
    append_log(job.folder, "epoch", **state.history[-1])
    yield CheckpointSaved("last", job.folder.last)
    if due:
        yield Validated(event.epoch, means, improved)


def finish(job: Job) -> Iterator[Event]:
    """Score the best checkpoint on the validation cases, on their own grids."""
    config = job.loaded.config
    checkpoint.load_model(job.folder.best, job.state.model)
    chosen = set(job.fold.validation)
    cases = [case for case in find_cases(config.data) if case.id in chosen]
    outcome = yield from predict_cases(job.predictor, cases, job.folder.validation, config.evaluation.metrics)
    record = {"run": str(job.folder.path.resolve()), "cases": sorted(chosen)}
    done = finish_evaluation(job.folder.validation, config.task, outcome, record)
    yield Finished(job.folder.path, {**done.result, "run": str(job.folder.path)}, done.failed)


def dry_run(loaded: Loaded, *, device: str = "auto") -> dict[str, Any]:
    """What a fit would do: cases, plan, parameters, steps. Reads the scans, trains nothing and writes nothing."""
    config = loaded.config
    target = find_device(device)
    answer = answer_for(config.task, config.loss.name, loaded.folder)
    make_loss(config, answer, loaded.folder)
    cases = find_cases(config.data)
    reading = fingerprint_all(cases, config.data.channel_names, config.task)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            data = end.value
            break
    plan = make_plan(data, config.data, wishes_of(config), device_class(target))
    model = make_model(plan, config.model, answer, config.training.seed)
    return {
        "schema_version": 1,
        "cases": len(cases),
        "patients": len({c.patient for c in cases}),
        "device": str(target),
        "plan": plan.model_dump(mode="json"),
        "parameters": count_parameters(model),
        "epochs": config.training.epochs,
        "steps_per_epoch": None if config.training.budget_minutes else config.training.steps_per_epoch,
    }


def _require_same_config(folder: RunFolder, loaded: Loaded, *, resumed: bool) -> None:
    """A resumed run goes on with the config it began with; a new one writes it down."""
    text = to_yaml(loaded)
    if resumed and folder.config.is_file() and _values(folder.config.read_text(encoding="utf-8")) != _values(text):
        hint = "resume with the config in the run folder, or start another run with --run NAME"
        raise ConfigError(Problem("the config is not the one this run began with", str(folder.config), hint=hint))
    write_text(folder.config, text)


def _values(text: str) -> list[str]:
    """A resolved config without its comments, which only say where a value came from."""
    return [line.split("  #")[0].rstrip() for line in text.splitlines()]


def _plan(loaded: Loaded, folder: RunFolder, cases: list[Case], device: torch.device) -> Generator[Event, None, Plan]:
    """The plan of this run: read from its file where it was made before."""
    if folder.plan.is_file():
        return Plan.model_validate_json(folder.plan.read_text(encoding="utf-8"))
    config = loaded.config
    data = yield from fingerprint_all(cases, config.data.channel_names, config.task)
    plan = make_plan(data, config.data, wishes_of(config), device_class(device))
    write_json(folder.plan, plan.model_dump(mode="json"))
    return plan


def _splits(loaded: Loaded, folder: RunFolder, cases: list[Case], fold: int | None) -> Splits:
    """The one fold that this run trains, read from its file where it was made before."""
    settings = loaded.config.training
    if folder.splits.is_file():
        splits = Splits.read(folder.splits)
        check_covers(splits, cases)
        return splits
    if fold is None:
        splits = split_share(cases, settings.validation_share, settings.seed)
    else:
        every = split_folds(cases, settings.folds, settings.seed)
        if not 0 <= fold < settings.folds:
            hint = "folds count from 0; training.folds sets their number"
            raise ConfigError(Problem(f"there is no fold {fold} of {settings.folds}", "--fold", hint=hint))
        splits = Splits((every.folds[fold],), every.seed)
    splits.write(folder.splits)
    return splits


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
        seconds.append(time.perf_counter() - last)
        last = time.perf_counter()
    pace = sorted(seconds[2:TIMED_STEPS])[(TIMED_STEPS - 2) // 2]
    return max(1, int(settings.budget_minutes * 60 / pace / settings.epochs))


def _about(job: Job) -> dict[str, Any]:
    """What a checkpoint needs to be used without its run."""
    config = job.loaded.config
    return {
        "plan": job.plan.model_dump(mode="json"),
        "task": config.task.model_dump(mode="json"),
        "model": config.model.model_dump(mode="json"),
        "inference": config.inference.model_dump(mode="json"),
        "loss": {"name": config.loss.name, **config.loss.options},
        "activation": job.answer.activation,
        "outputs": job.answer.outputs,
        "channels": list(job.plan.channels),
        "validation_cases": list(job.fold.validation),
    }


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
    }
