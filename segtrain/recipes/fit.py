"""`segtrain fit`: scans in, checkpoints and a report out."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded
from segtrain.core.events import CheckpointSaved, EpochEnded, Event, Finished, Note, Validated
from segtrain.losses.schedule import set_progress
from segtrain.metrics.registry import definition
from segtrain.models.unet import count_parameters
from segtrain.recipes.assemble import make_model
from segtrain.recipes.dataset import fingerprint_all, result_of
from segtrain.recipes.decide import plan_from
from segtrain.recipes.evaluate import finish_evaluation, predict_cases
from segtrain.recipes.job import Job, Shared, set_up, try_config, write_history
from segtrain.recipes.lock import locked
from segtrain.recipes.run_folder import (
    RunFolder,
    append_log,
    emptied_on_error,
    keep_config,
    keep_fold,
    open_for_writing,
    read_record,
    reading,
    require_place,
    write_record,
)
from segtrain.recipes.run_report import write_run_report, write_scores_report
from segtrain.recipes.trained import best_checkpoint
from segtrain.recipes.validation import mean_scores, score_stored
from segtrain.training import checkpoint
from segtrain.training.devices import find_device
from segtrain.training.loop import train


def fit(
    loaded: Loaded,
    run: Path,
    *,
    fold: int | None = None,
    shared: Shared | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> Generator[Event, None, None]:
    """Train on `loaded` into the folder `run`; the last event is Finished.

    Raises SegtrainError for anything the user can mend. Closed while it waits at an event, it saves a checkpoint.
    """
    target = find_device(device)
    folder = RunFolder(run)
    require_place(run, resume=resume, overwrite=overwrite)
    sound = None if resume and folder.is_finished else try_config(loaded, fold, shared)
    open_for_writing(run, resume=resume, overwrite=overwrite)
    with locked(run):
        if sound is None:
            keep_config(folder, loaded)
            keep_fold(folder, fold)
            yield Note("the run was finished before; nothing is left to do")
            yield _finished_before(folder)
            return
        with emptied_on_error(run):
            job = yield from set_up(sound, folder, fold, shared, target)
        yield from run_training(job)
        yield from finish(job, alone=shared is None)


def run_training(job: Job) -> Iterator[Event]:
    """All remaining epochs; validates and saves while the loop waits at an epoch's end."""
    state = job.state
    with closing(job.loader.batches(state.step, state.total_steps)) as batches:
        try:
            set_progress(job.loss.loss, state.step / state.total_steps)
            for event in train(state, batches, job.loss, job.loaded.config.training, job.device):
                set_progress(job.loss.loss, state.step / state.total_steps)
                told = end_epoch(job, event) if isinstance(event, EpochEnded) else ()
                yield event
                yield from told
        except GeneratorExit:
            keep_unfinished_epoch(job)
            raise


def end_epoch(job: Job, event: EpochEnded) -> list[Event]:
    """Validate when it is due, note the row, save `last`, and `best` where it got better."""
    state, config = job.state, job.loaded.config
    metrics = config.evaluation.metrics
    due = event.epoch % config.training.validate_every == 0 or event.epoch == event.epochs
    means: dict[str, float | None] = {}
    improved = False
    if due:
        scores = score_stored(job.predictor, [job.stored[c] for c in job.fold.validation], metrics)
        means = mean_scores(scores, config.task, metrics)
        headline = means[metrics[0]]
        improved = headline is not None and is_better(metrics[0], headline, state.best)
        if improved:
            state.best = headline
    state.history.append(
        {
            "epoch": event.epoch,
            "step": event.step,
            "train_loss": event.train_loss,
            "learning_rate": event.learning_rate,
            "seconds": event.seconds,
            "skipped_steps": event.skipped_steps,
            **{metric: means.get(metric) for metric in metrics},
        }
    )
    told: list[Event] = [Validated(event.epoch, means, improved)] if due else []
    if improved:
        checkpoint.save(job.folder.best, state, about(job))
        told.append(CheckpointSaved("best", job.folder.best))
    checkpoint.save(job.folder.last, state, about(job))
    told.append(CheckpointSaved("last", job.folder.last))
    write_history(job.folder, state)
    append_log(job.folder, "epoch", **state.history[-1])
    write_record(job.folder, {"seconds": job.seconds})
    return told


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether a validation beats the best one so far, by what the metric's card calls good."""
    card = definition(metric)
    return best is None or card.badness(value) < card.badness(best)


def keep_unfinished_epoch(job: Job) -> None:
    """Save `last` in the middle of an epoch, unless a weight is not finite."""
    if job.state.losses and job.state.is_finite():
        checkpoint.save(job.folder.last, job.state, about(job))
        append_log(job.folder, "interrupted", step=job.state.step)
        write_record(job.folder, {"seconds": job.seconds})


def finish(job: Job, *, alone: bool) -> Iterator[Event]:
    """Score the best checkpoint on the validation cases, on their own grids, and write the reports.

    The last one is taken where no validation had a value of the first metric.
    A run of a sweep is not `alone`: the sweep's report shows it, and `segtrain report` makes its own when asked.
    """
    config = job.loaded.config
    checkpoint.load_model(best_checkpoint(job.folder), job.state.judged)
    chosen = set(job.fold.validation)
    cases = [case for case in job.cases if case.id in chosen]
    outcome = yield from predict_cases(job.predictor, cases, job.folder.validation, config.evaluation.metrics)
    done = finish_evaluation(job.folder.validation, config.task, outcome, {"run": str(job.folder.path.resolve())})
    if alone:
        write_scores_report(job.folder.validation)
        write_run_report(job.folder)
    write_record(job.folder, {"finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "seconds": job.seconds})
    about_run = {"run": str(job.folder.path), "report": str(job.folder.report)}
    yield Finished(job.folder.path, {**done.result, **about_run}, done.failed)


def dry_run(loaded: Loaded, *, fold: int | None = None, device: str = "auto") -> dict[str, Any]:
    """What a fit would do: cases, plan, parameters, steps. Reads the scans, trains nothing and writes nothing."""
    config = loaded.config
    target = find_device(device)
    sound = try_config(loaded, fold)
    cases = sound.cases
    records = result_of(fingerprint_all(cases, config.data.channel_names, config.task))
    plan = plan_from(loaded, records, sound.splits.folds[0], target)
    model = make_model(plan, config.model, sound.answer, config.training.seed)
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


def about(job: Job) -> dict[str, Any]:
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


def _finished_before(folder: RunFolder) -> Finished:
    file = folder.validation / "metrics.json"
    metrics = read_record(file)
    with reading(file):
        failed = tuple(map(str, metrics["failed"]))
    result = {"schema_version": 1, "out": str(folder.validation), "metrics": metrics}
    places = {"run": str(folder.path), "report": str(folder.report)}
    return Finished(folder.path, {**result, **places}, failed)
