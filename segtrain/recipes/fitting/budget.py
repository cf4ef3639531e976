"""A budget in minutes -> a number of steps, which then stays: a run is reproducible, and its schedule whole."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from torch import nn

from segtrain.core.events import Event
from segtrain.core.memory import memory_errors
from segtrain.losses.schedule import set_progress
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.share import spread
from segtrain.training.loop import train
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState, new_state

START_UP = 6
"""Steps that are not timed: the first are slow, and until the loader is ahead it takes time from them."""

FEWEST_TIMED, MOST_TIMED = 4, 24

SHARE = 0.02
"""Of the budget, that timing may take beyond the fewest steps."""

LONG = 10**6
"""Steps of the schedule that timed steps are the first of: at such a beginning the rate is next to nothing."""

HALF_WAY = 0.5
"""Progress at which a loss with a schedule has all of its parts."""


@dataclass(frozen=True)
class Pace:
    """What a few steps took."""

    step_seconds: float
    start_up_seconds: float
    """Beyond the steps themselves, as for compiling."""


def timed(job: Job, most_seconds: float, wrap: Callable[[nn.Module], nn.Module] | None = None) -> Pace:
    """Train a few steps on a copy of the job's network, called through `wrap` where there is one.

    All ranks come here. Raises as a training.
    """
    settings = job.loaded.config.training
    with memory_errors("copying the network to time a few steps", "set smaller model.widths", where=str(job.device)):
        model = copy.deepcopy(job.state.model)
    trial = new_state(model, settings, LONG)
    trial.spread = spread(model, job.loss, len(job.plan.channels), job.ranks)
    trial.compiled = None if wrap is None else wrap(model)
    began = time.perf_counter()
    set_progress(job.loss.loss, HALF_WAY)
    with closing(job.loader.batches(0, START_UP + MOST_TIMED)) as batches:
        steps = train(trial, batches, job.loss, settings, job.device)
        pace = seconds_per_step(steps, trial, most_seconds, job.ranks.any)
    set_progress(job.loss.loss, 0.0)
    return Pace(pace, max(0.0, time.perf_counter() - began - pace * trial.step))


def seconds_per_step(
    trial: Iterable[Event], state: TrainingState, most_seconds: float, agreed: Callable[[bool], bool]
) -> float:
    """The pace of a training, `state` being what it trains: the mean of the middle half of its timed steps.

    `agreed` says whether any rank has seen enough, as all must take the same number of steps.
    """
    seconds: list[float] = []
    began = last = time.perf_counter()
    for _ in trial:
        for value in state.losses[-1:]:
            value.item()  # a step of a GPU is over when its loss is there
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
        if agreed(len(seconds) >= START_UP + FEWEST_TIMED and now - began > most_seconds):
            break
    measured = sorted(seconds[START_UP : START_UP + MOST_TIMED])
    quarter = len(measured) // 4
    middle = measured[quarter : len(measured) - quarter]
    return sum(middle) / len(middle)


def steps_per_epoch(job: Job) -> int:
    """As configured, or as many as fit the budget at the pace of a few steps; of several ranks, that of the first."""
    settings = job.loaded.config.training
    if settings.budget_minutes is None:
        return settings.steps_per_epoch
    pace = timed(job, SHARE * 60 * settings.budget_minutes)
    return job.ranks.shared(steps_within(settings.budget_minutes, pace.step_seconds, settings))


def steps_within(budget_minutes: float, pace: float, settings: TrainingSettings) -> int:
    """Steps an epoch that fit the budget at that pace; never none."""
    return max(1, int(budget_minutes * 60 / pace / settings.planned_epochs))
