"""The runs of a sweep, done one after another or several at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

from segtrain.config.load import Loaded
from segtrain.core.events import Event, Note, RunEnded, StillWorking
from segtrain.execution.executor import Executor
from segtrain.execution.workers import Died
from segtrain.recipes.fitting.sound import Shared
from segtrain.recipes.sweep.one_run import Ended, RunJob, do_run, run_events
from segtrain.recipes.sweep.plan import SweepRun, timed_run
from segtrain.training.devices import with_threads

LONGEST_RUN_SECONDS = 30 * 24 * 3600.0
"""No run of a sweep takes a month."""


@dataclass(frozen=True, eq=False)
class Jobs:
    """Runs that are to be done, and what they share."""

    loaded: Loaded
    """Of the sweep."""
    runs: Sequence[SweepRun]
    sweep: Sequence[SweepRun]
    """All runs, also of losses that were dropped: what one of them has timed holds for all."""
    shared: Sequence[Shared]
    """By fold."""
    device: str
    until: int | None = None
    """The epoch after which all are stopped and scored; None: they are done to their end."""

    @property
    def is_untimed(self) -> bool:
        """Whether the next run finds out how many steps all of them have."""
        return self.loaded.config.training.budget_minutes is not None and timed_run(self.sweep) is None

    def settled(self, one: SweepRun) -> str | None:
        """How a run ended, or that it is where it should be stopped, where nothing is left to do for it."""
        if self.until is not None and one.rung(self.until).is_file():
            return f"was at epoch {self.until} before"
        return one.settled

    def job(self, one: SweepRun) -> RunJob:
        """What a process must know to do one of them."""
        timed = timed_run(self.sweep)
        shared = replace(self.shared[one.fold], steps_per_epoch=None if timed is None else timed.steps_per_epoch)
        return RunJob(self.loaded, one, shared, self.device, until=self.until)


def do_runs(jobs: Jobs, executor: Executor) -> Generator[Event, None, dict[str, str]]:
    """Do every run; returns those that could not be done, with the reason.

    With a budget of minutes the first run whose loss does not diverge meanwhile is timed, alone, with the threads of
    all others, and its steps are theirs; where it breaks off before they are known, the others wait for it.
    """
    runs = jobs.runs
    place = {one.name: number for number, one in enumerate(runs)}
    together: list[SweepRun] = []
    broken: dict[str, str] = {}
    done = 0
    for one in runs:
        settled = jobs.settled(one)
        if not (settled or executor.is_here or jobs.is_untimed):
            together.append(one)
            continue
        ended = Ended(settled) if settled else (yield from _done_here(jobs.job(one), executor))
        if ended.broken:
            broken[one.name] = ended.message
        done += 1
        yield RunEnded(one.name, done, len(runs), ended.message)
        if ended.broken and jobs.is_untimed:
            return broken
    pieces = [replace(jobs.job(one), threads=executor.threads) for one in together]
    with closing(executor.each(do_run, pieces, hang_seconds=LONGEST_RUN_SECONDS)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, StillWorking):
                yield outcome
                continue
            name = outcome.piece.one.name
            if isinstance(outcome, Died) and outcome.again:
                yield Note(f"{name}: its process died ({outcome.why}); it is tried again")
                continue
            ended = Ended(outcome.why, broken=True) if isinstance(outcome, Died) else outcome.result
            if ended.broken:
                broken[name] = ended.message
            done += 1
            yield RunEnded(name, done, len(runs), ended.message)
    return dict(sorted(broken.items(), key=lambda item: place[item[0]]))


def _done_here(job: RunJob, executor: Executor) -> Generator[Event, None, Ended]:
    """Do a run in this process, as fast as it would be in one of the executor's."""
    with nullcontext() if executor.is_here else with_threads(executor.threads):
        return (yield from run_events(job))
