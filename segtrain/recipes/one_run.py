"""One run of a sweep, in this process or in one of several."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import torch

from segtrain.config.load import Loaded
from segtrain.core.errors import DivergedError, SegtrainError
from segtrain.core.events import Event, Finished
from segtrain.execution.workers import slot
from segtrain.recipes.fit import fit
from segtrain.recipes.job import Shared
from segtrain.recipes.rung import epochs_done, score_rung, stopped_after
from segtrain.recipes.sweep import SweepRun, config_of


@dataclass(frozen=True, eq=False)
class RunJob:
    """Everything that a process must know to do a run."""

    loaded: Loaded
    """Of the sweep."""
    one: SweepRun
    shared: Shared
    device: str
    threads: int = 0
    """Of a process of its own; 0 leaves them as they are."""
    until: int | None = None
    """The epoch after which it is stopped and scored; None: to its end."""


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    message: str
    broken: bool = False
    """It could not be done, and may be when it is tried again; a loss that diverged is not broken."""


def run_events(job: RunJob) -> Generator[Event, None, Ended]:
    """Do a run, or its part up to a rung; a loss that diverges is written down, and not tried again."""
    try:
        if job.until is not None:
            return (yield from _to_rung(job, job.until))
        with closing(_fitted(job)) as events:
            for event in events:
                if not isinstance(event, Finished):
                    yield event
    except DivergedError as error:
        job.one.keep_failure(str(error))
        return Ended(str(error))
    return Ended("done")


def _fitted(job: RunJob) -> Generator[Event, None, None]:
    one, place = job.one, job.one.folder.path
    config, begun = config_of(job.loaded, one), place.exists()
    return fit(config, place, fold=one.fold, shared=job.shared, resume=begun, device=job.device)


def _to_rung(job: RunJob, epoch: int) -> Generator[Event, None, Ended]:
    """Up to the end of an epoch, and its scores. A run that is past it cannot be scored there any more."""
    one = job.one
    if epochs_done(one.folder) < epoch:
        yield from stopped_after(_fitted(job), epoch)
    if epochs_done(one.folder) > epoch:
        return Ended(f"it is past epoch {epoch}, where it was not scored")
    held_out = {*job.shared.splits.folds[one.fold].validation}
    cases = [case for case in job.shared.cases if case.id in held_out]
    yield from score_rung(one.folder, cases, job.loaded.config.evaluation, one.rung(epoch), job.device)
    return Ended(f"is at epoch {epoch}")


def do_run(job: RunJob) -> Ended:
    """The same in a process of its own, which tells nothing before the end; what goes wrong costs this run alone."""
    torch.set_num_threads(job.threads)
    if job.device in ("auto", "cuda") and torch.cuda.is_available():
        torch.cuda.set_device((slot() or 0) % torch.cuda.device_count())
    try:
        with closing(run_events(job)) as events:
            while True:
                next(events)
    except StopIteration as end:
        ended: Ended = end.value
        return ended
    except SegtrainError as error:
        return Ended(str(error), broken=True)
