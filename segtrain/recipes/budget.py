"""A budget in minutes -> a number of steps, which then stays: a run is reproducible, and its schedule whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from segtrain.core.events import Event
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState

START_UP = 6
"""Steps that are not timed: the first are slow, and until the loader is ahead it takes time from them."""

FEWEST_TIMED, MOST_TIMED = 4, 24

SHARE = 0.02
"""Of the budget, that timing may take beyond the fewest steps."""


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
    timed = sorted(seconds[START_UP : START_UP + MOST_TIMED])
    quarter = len(timed) // 4
    middle = timed[quarter : len(timed) - quarter]
    return sum(middle) / len(middle)


def steps_within(budget_minutes: float, pace: float, settings: TrainingSettings) -> int:
    """Steps an epoch that fit the budget at that pace; never none."""
    return max(1, int(budget_minutes * 60 / pace / settings.epochs))
