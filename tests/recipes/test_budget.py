"""So many steps as fit the minutes; the start-up of a training does not count."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from segtrain.core.events import EpochEnded, StepEnded
from segtrain.recipes.budget import TIMED_STEPS, seconds_per_step, steps_within
from segtrain.training.settings import TrainingSettings


def trial(state, start_up, step):
    """A training whose first two steps take longer."""
    for number in range(TIMED_STEPS):
        time.sleep(start_up if number < 2 else step)
        state.losses.append(torch.tensor(1.0))
        yield StepEnded(number + 1, TIMED_STEPS, 0)
    state.losses = []
    yield EpochEnded(1, 1, TIMED_STEPS, 1.0, 1e-3, 1.0)


def test_the_pace_is_that_of_the_steps_after_the_start_up():
    state = SimpleNamespace(losses=[])
    pace = seconds_per_step(trial(state, start_up=0.5, step=0.01), state)
    assert 0.01 <= pace < 0.4


@pytest.mark.parametrize(("minutes", "pace", "epochs", "steps"), [(1, 0.5, 4, 30), (1, 0.7, 3, 28), (1e-9, 1, 2, 1)])
def test_steps_of_all_epochs_together_fit_the_budget(minutes, pace, epochs, steps):
    assert steps_within(minutes, pace, TrainingSettings(epochs=epochs)) == steps
