"""`segtrain fit`: scans in, checkpoints and a report out."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded
from segtrain.core.events import CheckpointSaved, EpochEnded, Event, Finished, Note, Validated
from segtrain.inference.predict import Ensemble
from segtrain.losses.schedule import set_progress
from segtrain.metrics.registry import definition
from segtrain.recipes.dataset import logged
from segtrain.recipes.evaluate import finish_evaluation
from segtrain.recipes.fitting.begun_with import BESIDE_A_FIT, keep_config, keep_fold
from segtrain.recipes.fitting.compiling import compile_where_it_pays
from segtrain.recipes.fitting.init_from import followed
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.set_up import set_up, write_history
from segtrain.recipes.fitting.share import dealt
from segtrain.recipes.fitting.sound import Shared, try_config
from segtrain.recipes.fitting.validation import label_scores, mean_scores, quick, score_dealt
from segtrain.recipes.fitting.watch import watching
from segtrain.recipes.run_folder import (
    RunFolder,
    append_log,
    emptied_on_error,
    opened,
    read_record,
    reading,
    require_place,
    write_record,
)
from segtrain.recipes.run_report import write_run_report, write_scores_report
from segtrain.recipes.scoring.outcome import Outcome, joined_outcome
from segtrain.recipes.scoring.predict_cases import predict_cases
from segtrain.recipes.trained import best_checkpoint, last_checkpoint
from segtrain.reports.curves import Row, label_column
from segtrain.training import checkpoint
from segtrain.training.devices import find_device
from segtrain.training.loop import train
from segtrain.training.memory import peak_bytes
from segtrain.training.ranks import ALONE, Ranks


def fit(
    loaded: Loaded,
    run: Path,
    *,
    fold: int | None = None,
    shared: Shared | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    ranks: Ranks = ALONE,
) -> Generator[Event, None, None]:
    """Train on `loaded` into the folder `run`; the last event is Finished.

    Raises SegtrainError for anything the user can mend. Closed while it waits at an event, it saves a checkpoint.
    This is what the first of several `ranks` does, while the others `follow`.
    """
    folder = RunFolder(run)
    loaded = followed(loaded, folder.config if resume else None)
    target = find_device(device, ranks.local_rank)
    require_place(run, resume=resume, overwrite=overwrite)
    sound = None if resume and folder.is_finished else try_config(loaded, fold, shared)
    if resume and not folder.record.is_file():
        yield Note(f"there is no run in {run} to go on with: it begins")
    with opened(run, resume=resume, overwrite=overwrite) as lock:
        if sound is None:
            keep_config(folder, loaded, BESIDE_A_FIT)
            keep_fold(folder, fold)
            ranks.shared(None)
            yield Note("the run was finished before; nothing is left to do")
            yield _finished_before(folder)
            return
        with emptied_on_error(run):
            job = yield from logged(folder, set_up(sound, folder, fold, shared, target, ranks))
            if loaded.config.training.compile:
                yield from logged(folder, compile_where_it_pays(job, read_record(folder.record).get("compiled")))
                write_record(folder, {"compiled": job.state.compiled is not None})
        yield from logged(folder, lock.guarded(run_training(job)))
        yield from lock.guarded(finish(job, alone=shared is None))


def run_training(job: Job) -> Generator[Event, None, None]:
    """All remaining epochs; validates and saves while the loop waits at an epoch's end.

    At every event of the loop the ranks ask each other whether to stop. So all stop after the same step, and none
    leaves before the checkpoint is whole: torchrun would terminate the rank that writes it.
    """
    state, ranks = job.state, job.ranks
    batches = job.loader.batches(state.step, state.total_steps)
    watchers = watching(job.folder, job.loaded) if ranks.is_first else nullcontext(_nobody)
    with closing(batches), watchers as tell:
        yield from tell(state.history)
        set_progress(job.loss.loss, state.step / state.total_steps)
        for event in train(state, batches, job.loss, job.loaded.config.training, job.device):
            set_progress(job.loss.loss, state.step / state.total_steps)
            told = [*end_epoch(job, event), *tell(state.history)] if isinstance(event, EpochEnded) else []
            closed: GeneratorExit | None = None
            try:
                yield from (event, *told)
            except GeneratorExit as error:
                closed = error
            if ranks.any(closed is not None):
                keep_unfinished_epoch(job)
                ranks.any(True)
                raise closed or ranks.ended_elsewhere()


def _nobody(history: Sequence[Row]) -> list[Note]:
    del history
    return []


def end_epoch(job: Job, event: EpochEnded) -> list[Event]:
    """Validate when it is due, note the row, save `last`, and `best` where it got better.

    All ranks come here to validate; the first one does the rest.
    """
    state, config = job.state, job.loaded.config
    evaluation = quick(config.evaluation)
    metrics = evaluation.metrics
    due = event.epoch % config.training.validate_every == 0 or event.epoch == event.epochs
    means: dict[str, float | None] = {}
    by_label: dict[str, float | None] = {}
    improved = False
    began = time.perf_counter()
    if due:
        scores = score_dealt(job.predictor, [job.stored[c] for c in job.fold.validation], evaluation, job.ranks)
        means = mean_scores(scores, config.task, metrics)
        by_label = label_scores(scores, config.task, metrics[0])
        headline = means[metrics[0]]
        improved = headline is not None and is_better(metrics[0], headline, state.best)
        if improved:
            state.best = headline
    if not job.ranks.is_first:
        return []
    peak = peak_bytes(job.device)
    state.history.append(
        {
            "epoch": event.epoch,
            "step": event.step,
            "train_loss": event.train_loss,
            "learning_rate": event.learning_rate,
            "gradient_norm": event.gradient_norm,
            "seconds": event.seconds,
            "validation_seconds": time.perf_counter() - began if due else None,
            "skipped_steps": event.skipped_steps,
            "peak_memory_mib": None if peak is None else round(peak / 2**20),
            **{metric: means.get(metric) for metric in metrics},
            **{label_column(metrics[0], label): by_label.get(label) for label in config.task.foreground},
        }
    )
    told: list[Event] = [Validated(event.epoch, means, improved, by_label)] if due else []
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
    if job.ranks.is_first and job.state.losses and job.state.is_finite():
        checkpoint.save(job.folder.last, job.state, about(job))
        append_log(job.folder, "interrupted", step=job.state.step)
        write_record(job.folder, {"seconds": job.seconds})


def finish(job: Job, *, alone: bool) -> Generator[Event, None, None]:
    """Score the best checkpoint on the validation cases, on their own grids, and write the reports.

    The last one is taken where no validation had a value of the first metric, and in a sweep, whose runs are not
    `alone`: these cases chose the best one, and a loss whose scores go up and down would win by that. The sweep's
    report shows such a run, and `segtrain report` makes its own when asked.
    """
    config = job.loaded.config
    kept = best_checkpoint(job.folder) if alone else last_checkpoint(job.folder)
    checkpoint.load_model(kept, job.state.judged)
    outcome = yield from score_held_out(job)
    places = {"run": str(job.folder.path.resolve())}
    done = finish_evaluation(job.folder.validation, config.task, outcome, places, config.evaluation)
    if alone:
        write_scores_report(job.folder.validation)
        write_run_report(job.folder)
    append_log(job.folder, "finished", metrics=done.result["metrics"]["mean"], failed=list(done.failed))
    write_record(job.folder, {"finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "seconds": job.seconds})
    about_run = {"run": str(job.folder.path), "report": str(job.folder.report)}
    yield Finished(job.folder.path, {**done.result, **about_run}, done.failed)


def score_held_out(job: Job) -> Generator[Event, None, Outcome]:
    """Predict and score the validation cases, dealt to the ranks, with the network that the first one has loaded."""
    ranks, evaluation = job.ranks, job.loaded.config.evaluation
    ranks.copy_weights(job.state.judged)
    chosen = set(job.fold.validation)
    cases = [case for case in job.cases if case.id in chosen]
    own, out = dealt(cases, ranks), job.folder.validation
    outcome = yield from predict_cases(Ensemble((job.predictor,)), own, out, evaluation)
    return joined_outcome(cases, ranks.gathered(outcome))


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
