"""The runs of a sweep, done one after another or several at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from segtrain.config.load import Loaded
from segtrain.core.events import Event, Note, RunEnded, StillWorking
from segtrain.execution.executor import Executor
from segtrain.execution.workers import Died
from segtrain.recipes.fitting.sound import Shared
from segtrain.recipes.sweep.one_run import Ended, RunJob, do_run, run_events
from segtrain.recipes.sweep.plan import SweepRun

LONGEST_RUN_SECONDS = 30 * 24 * 3600.0
"""No run of a sweep takes a month."""


@dataclass(frozen=True, eq=False)
class Jobs:
    """Runs that are to be done, and what they share."""

    loaded: Loaded
    """Of the sweep."""
    runs: Sequence[SweepRun]
    first: SweepRun
    """Whose number of steps is that of all."""
    shared: Sequence[Shared]
    """By fold."""
    device: str
    until: int | None = None
    """The epoch after which all are stopped and scored; None: they are done to their end."""

    @property
    def is_timed(self) -> bool:
        """Whether the first run finds out how many steps all of them have."""
        return self.loaded.config.training.budget_minutes is not None

    def settled(self, one: SweepRun) -> str | None:
        """How a run ended, or that it is where it should be stopped, where nothing is left to do for it."""
        if self.until is not None and one.rung(self.until).is_file():
            return f"was at epoch {self.until} before"
        return one.settled

    def job(self, one: SweepRun) -> RunJob:
        """What a process must know to do one of them."""
        shared = replace(self.shared[one.fold], steps_per_epoch=self.first.steps_per_epoch)
        return RunJob(self.loaded, one, shared, self.device, until=self.until)


def do_runs(jobs: Jobs, executor: Executor) -> Generator[Event, None, dict[str, str]]:
    """Do every run; returns those that could not be done, with the reason.

    The first run comes first where its steps are those of all others (a budget of minutes is timed once); where it
    breaks off before they are known, the others wait for it.
    """
    runs = jobs.runs
    place = {one.name: number for number, one in enumerate(runs)}
    alone = (
        runs
        if executor.is_here
        else [one for one in runs if jobs.settled(one) or (jobs.is_timed and one is jobs.first)]
    )
    together = [one for one in runs if one not in alone]
    broken: dict[str, str] = {}
    done = 0
    for one in alone:
        settled = jobs.settled(one)
        ended = Ended(settled) if settled else (yield from run_events(jobs.job(one)))
        if ended.broken:
            broken[one.name] = ended.message
        done += 1
        yield RunEnded(one.name, done, len(runs), ended.message)
        if jobs.is_timed and jobs.first.steps_per_epoch is None:
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
