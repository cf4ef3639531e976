"""One run of a sweep, in this process or in one of several. What goes wrong with it costs this run alone."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

import torch

from segtrain.config.load import Loaded
from segtrain.core.errors import DivergedError, OutOfMemory, SegtrainError
from segtrain.core.events import Event, Finished
from segtrain.core.files import disk_errors
from segtrain.core.memory import is_memory_error
from segtrain.execution.child import slot
from segtrain.execution.leaving import leave_if_asked
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.sound import Shared
from segtrain.recipes.run_folder import append_log
from segtrain.recipes.sweep.plan import SweepRun, config_of
from segtrain.recipes.sweep.rung import epochs_done, score_rung, stopped_after


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
    too_large: bool = False
    """It is broken for want of memory, and may fit where nothing else runs."""


def run_events(job: RunJob) -> Generator[Event, None, Ended]:
    """Do a run, or its part up to a rung; a loss that diverges is written down, and not tried again.

    Whatever else goes wrong is told in how it ended; what is not meant for users has its traceback in log.jsonl.
    """
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
    except OutOfMemory as error:
        _log_broken(job, str(error))
        return Ended(str(error), broken=True, too_large=True)
    except SegtrainError as error:
        return Ended(str(error), broken=True)
    except Exception as error:
        _log_broken(job, traceback.format_exc())
        why = f"{type(error).__name__}: {error}\n  where: {job.one.folder.log} has the traceback"
        return Ended(why, broken=True, too_large=is_memory_error(error))
    return Ended("done")


def _log_broken(job: RunJob, text: str) -> None:
    """Add to log.jsonl, be there a run or not yet."""
    folder = job.one.folder
    with disk_errors(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    append_log(folder, "broken", text=text)


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
    failed = yield from score_rung(one.folder, cases, job.loaded.config.evaluation, one.rung(epoch), job.device)
    if failed:
        told = "; ".join(f"{case}: {why}" for case, why in failed)
        return Ended(f"is at epoch {epoch}, and could not be scored there: {told}", broken=True)
    return Ended(f"is at epoch {epoch}")


def do_run(job: RunJob) -> Ended:
    """The same in a process of its own, which tells nothing before the end.

    Raises MemoryError where the memory did not suffice beside other runs: the process has to end to give all back.
    Asked to end, it leaves between two events, so that a checkpoint is saved.
    """
    torch.set_num_threads(job.threads)
    if job.device in ("auto", "cuda") and torch.cuda.is_available():
        torch.cuda.set_device((slot() or 0) % torch.cuda.device_count())
    with closing(run_events(job)) as events:
        while True:
            try:
                next(events)
            except StopIteration as end:
                ended: Ended = end.value
                break
            leave_if_asked()
    if ended.too_large:
        raise MemoryError(ended.message)
    return ended
