"""So many steps as fit the minutes; the start-up of a training does not count."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from segtrain.core.events import StepEnded
from segtrain.recipes.fitting.budget import FEWEST_TIMED, MOST_TIMED, START_UP, seconds_per_step, steps_within
from segtrain.training.settings import TrainingSettings


def trial(state, start_up, step):
    """A training whose first steps take longer."""
    for number in range(START_UP + MOST_TIMED):
        time.sleep(start_up if number < START_UP else step)
        state.losses.append(torch.tensor(1.0))
        yield StepEnded(number + 1, START_UP + MOST_TIMED, 0)


def test_the_pace_is_that_of_the_steps_after_the_start_up():
    state = SimpleNamespace(losses=[])
    pace = seconds_per_step(trial(state, start_up=0.1, step=0.01), state, 60, bool)
    assert 0.01 <= pace < 0.08
    assert len(state.losses) == START_UP + MOST_TIMED


def test_a_few_steps_are_timed_where_they_are_slow():
    state = SimpleNamespace(losses=[])
    seconds_per_step(trial(state, start_up=0.01, step=0.01), state, 0.001, bool)
    assert len(state.losses) == START_UP + FEWEST_TIMED


@pytest.mark.parametrize(("minutes", "pace", "epochs", "steps"), [(1, 0.5, 4, 30), (1, 0.7, 3, 28), (1e-9, 1, 2, 1)])
def test_steps_of_all_epochs_together_fit_the_budget(minutes, pace, epochs, steps):
    assert steps_within(minutes, pace, TrainingSettings(epochs=epochs)) == steps
