"""The runs of a sweep, done one after another or several at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from segtrain.config.load import Loaded
from segtrain.core.events import Event, Note, RunEnded
from segtrain.execution.executor import Executor
from segtrain.execution.workers import Died
from segtrain.recipes.job import Shared
from segtrain.recipes.one_run import Ended, RunJob, do_run, run_events
from segtrain.recipes.sweep import SweepRun

LONGEST_RUN_SECONDS = 30 * 24 * 3600.0
"""No run of a sweep takes a month."""


@dataclass(frozen=True, eq=False)
class Jobs:
    """Runs that are to be done, and what they share."""

    loaded: Loaded
    """Of the sweep."""
    runs: Sequence[SweepRun]
    shared: Sequence[Shared]
    """By fold."""
    device: str

    @property
    def is_timed(self) -> bool:
        """Whether the first run finds out how many steps all of them have."""
        return self.loaded.config.training.budget_minutes is not None

    def job(self, one: SweepRun) -> RunJob:
        """What a process must know to do one of them."""
        first = self.runs[0]
        return RunJob(
            self.loaded, one, replace(self.shared[one.fold], steps_per_epoch=first.steps_per_epoch), self.device
        )


def do_runs(jobs: Jobs, executor: Executor) -> Generator[Event, None, dict[str, str]]:
    """Do every run; returns those that could not be done, with the reason.

    The first run comes first where its steps are those of all others (a budget of minutes is timed once).
    """
    runs = jobs.runs
    place = {one.name: number for number, one in enumerate(runs)}
    here = executor.at_once == 1
    alone = runs if here else [one for one in runs if one.settled or (jobs.is_timed and one is runs[0])]
    together = [one for one in runs if one not in alone]
    broken: dict[str, str] = {}
    done = 0
    for one in alone:
        message = one.settled or (yield from run_events(jobs.job(one))).message
        done += 1
        yield RunEnded(one.name, done, len(runs), message)
    pieces = [replace(jobs.job(one), threads=executor.threads) for one in together]
    with closing(executor.each(do_run, pieces, hang_seconds=LONGEST_RUN_SECONDS)) as outcomes:
        for outcome in outcomes:
            name = outcome.piece.one.name
            if isinstance(outcome, Died) and outcome.again:
                yield Note(f"{name}: its process died ({outcome.why}); it goes on when the others are done")
                continue
            ended = Ended(outcome.why, broken=True) if isinstance(outcome, Died) else outcome.result
            if ended.broken:
                broken[name] = ended.message
            done += 1
            yield RunEnded(name, done, len(runs), ended.message)
    return dict(sorted(broken.items(), key=lambda item: place[item[0]]))
