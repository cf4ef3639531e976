"""How far training has come."""

from math import inf, nan

import pytest
import torch
from torch import nn

from segtrain.training.state import TrainingState


def state(**fields) -> TrainingState:
    model = nn.Linear(1, 1)
    return TrainingState(model, torch.optim.SGD(model.parameters(), lr=1.0), **fields)


@pytest.mark.parametrize(("step", "epoch"), [(0, 0), (3, 0), (4, 1), (11, 2), (12, 3)])
def test_an_epoch_counts_when_all_its_steps_are_done(step, epoch):
    there = state(total_steps=12, steps_per_epoch=4, step=step)
    assert (there.epoch, there.epochs) == (epoch, 3)


@pytest.mark.parametrize(
    ("step", "losses", "expected"),
    [(0, 0, False), (3, 3, False), (4, 4, True), (4, 0, False), (5, 1, False), (8, 4, True)],
)
def test_an_epoch_waits_to_be_told_while_its_losses_are_there(step, losses, expected):
    there = state(total_steps=12, steps_per_epoch=4, step=step, losses=[torch.tensor(1.0)] * losses)
    assert there.is_at_epoch_end is expected


@pytest.mark.parametrize(
    ("losses", "norms", "expected", "mean"),
    [
        ((1, 2), (3, 4), [], 1.5),
        ((1, nan), (nan, 4), [(0, "the norm of the gradient is nan"), (1, "the loss is nan")], nan),
        ((1, inf), (3, nan), [(1, "the loss is inf")], 1.0),
        ((1, 2), (3, inf), [(1, "the norm of the gradient is inf")], 1.0),
        ((), (), [], nan),
    ],
)
def test_steps_that_are_not_finite_are_named_and_do_not_count(losses, norms, expected, mean):
    numbers = {"losses": [torch.tensor(float(n)) for n in losses], "norms": [torch.tensor(float(n)) for n in norms]}
    there = state(total_steps=4, steps_per_epoch=4, step=2, **numbers)
    assert there.skipped() == expected
    assert there.epoch_mean() == pytest.approx(mean, nan_ok=True)


def test_the_mean_norm_is_over_the_steps_that_changed_something():
    numbers = {
        "losses": [torch.tensor(n) for n in (1.0, nan, 1.0)],
        "norms": [torch.tensor(n) for n in (2.0, 9.0, 4.0)],
    }
    assert state(total_steps=3, steps_per_epoch=3, step=3, **numbers).epoch_norm() == 3.0


def test_a_weight_that_is_not_finite_is_found():
    there = state(total_steps=4, steps_per_epoch=4)
    assert there.is_finite()
    with torch.no_grad():
        next(there.model.parameters()).fill_(nan)
    assert not there.is_finite()


def test_the_average_is_judged_where_there_is_one():
    assert state(total_steps=1, steps_per_epoch=1).judged.weight.numel() == 1
    average = nn.Linear(1, 1)
    assert state(total_steps=1, steps_per_epoch=1, average=average).judged is average


def test_a_new_state_has_done_nothing_and_shares_nothing():
    one, two = state(total_steps=1, steps_per_epoch=1), state(total_steps=1, steps_per_epoch=1)
    one.history.append({"epoch": 1})
    one.losses.append(torch.tensor(1.0))
    assert (two.step, two.best, two.history, two.losses) == (0, None, [], [])
