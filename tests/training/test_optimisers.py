"""The rate of a step is a pure function of the step."""

import pytest
from torch import nn

from segtrain.training.optimisers import learning_rate, make_optimiser
from segtrain.training.settings import TrainingSettings

SETTINGS = TrainingSettings(learning_rate=0.01, warmup_share=0.1)


def test_it_climbs_to_the_peak_then_falls_to_nearly_zero():
    rates = [learning_rate(step, 100, SETTINGS) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert max(rates) == rates[9] == pytest.approx(0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.005)
    assert 0 < rates[-1] < 1e-5


def test_a_run_of_one_step_has_a_rate():
    assert learning_rate(0, 1, SETTINGS) == pytest.approx(0.01)


def test_only_weights_are_decayed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(2, 2))
    decayed, free = make_optimiser(model, TrainingSettings(weight_decay=0.3)).param_groups
    assert [p.ndim for p in decayed["params"]] == [4]
    assert decayed["weight_decay"] == 0.3
    assert len(free["params"]) == 3
    assert free["weight_decay"] == 0


def test_a_polynomial_takes_the_rate_to_zero_as_in_nnunet():
    settings = SETTINGS.model_copy(update={"schedule": "poly", "warmup_share": 0.0})
    rates = [learning_rate(step, 101, settings) for step in range(101)]
    assert rates[0] == rates[1] == pytest.approx(0.01)
    assert rates[51] == pytest.approx(0.01 * 0.5**0.9)
    assert rates[100] == pytest.approx(0.01 * 0.01**0.9)
    assert sorted(rates, reverse=True) == rates


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_may_go_without_momentum(momentum):
    optimiser = make_optimiser(nn.Linear(2, 2), TrainingSettings(optimiser="sgd", momentum=momentum))
    assert {group["momentum"] for group in optimiser.param_groups} == {momentum}
    assert {group["nesterov"] for group in optimiser.param_groups} == {momentum > 0}
