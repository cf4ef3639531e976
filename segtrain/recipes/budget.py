"""A budget in minutes -> a number of steps, which then stays: a run is reproducible, and its schedule whole."""

from __future__ import annotations

import time
from collections.abc import Iterable

from segtrain.core.events import Event
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState

TIMED_STEPS = 6
"""Steps that are timed to see how many fit the budget; the first two are the start-up."""


def seconds_per_step(trial: Iterable[Event], state: TrainingState) -> float:
    """The median pace of a training of so many steps, `state` being what it trains."""
    seconds = []
    last = time.perf_counter()
    for _ in trial:
        for value in state.losses[-1:]:
            value.item()  # a step of a GPU is over when its loss is there
        seconds.append(time.perf_counter() - last)
        last = time.perf_counter()
    return sorted(seconds[2:TIMED_STEPS])[(TIMED_STEPS - 2) // 2]


def steps_within(budget_minutes: float, pace: float, settings: TrainingSettings) -> int:
    """Steps an epoch that fit the budget at that pace; never none."""
    return max(1, int(budget_minutes * 60 / pace / settings.epochs))
