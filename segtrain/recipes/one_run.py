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


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    message: str
    broken: bool = False
    """It could not be done, and may be when it is tried again; a loss that diverged is not broken."""


def run_events(job: RunJob) -> Generator[Event, None, Ended]:
    """Do a run; a loss that diverges is written down, and not tried again."""
    one = job.one
    config, place = config_of(job.loaded, one), one.folder.path
    events = fit(config, place, fold=one.fold, shared=job.shared, resume=place.exists(), device=job.device)
    try:
        with closing(events):
            for event in events:
                if not isinstance(event, Finished):
                    yield event
    except DivergedError as error:
        one.keep_failure(str(error))
        return Ended(str(error))
    return Ended("done")


def do_run(job: RunJob) -> Ended:
    """The same in a process of its own, which tells nothing before the end; what goes wrong costs this run alone."""
    torch.set_num_threads(job.threads)
    if job.device in ("auto", "cuda") and torch.cuda.is_available():
        torch.cuda.set_device((slot() or 0) % torch.cuda.device_count())
    events = run_events(job)
    try:
        while True:
            next(events)
    except StopIteration as end:
        ended: Ended = end.value
        return ended
    except SegtrainError as error:
        return Ended(str(error), broken=True)
