"""Weights follow from the seed and the name of the parameter."""

from __future__ import annotations

import math

import torch
from torch import nn

from segtrain.models.initialisation import initialise


def test_weights_have_the_deviation_of_he_and_biases_are_zero():
    model = nn.Sequential(nn.Conv3d(8, 64, 3), nn.GroupNorm(8, 64))
    initialise(model, seed=0)
    expected = math.sqrt(2 / (1 + 0.01**2) / (8 * 27))
    assert math.isclose(float(model[0].weight.detach().std()), expected, rel_tol=0.02)
    assert not model[0].bias.any()
    assert bool((model[1].weight == 1).all())
    assert not model[1].bias.any()


def test_a_weight_does_not_depend_on_what_else_there_is():
    small = nn.ModuleDict({"a": nn.Linear(3, 4)})
    large = nn.ModuleDict({"z": nn.Linear(5, 6), "a": nn.Linear(3, 4)})
    for model in (small, large):
        initialise(model, seed=3)
    assert torch.equal(small["a"].weight, large["a"].weight)


def test_the_state_of_the_process_does_not_matter():
    first, second = nn.Linear(3, 4), nn.Linear(3, 4)
    initialise(first, seed=1)
    torch.manual_seed(99)
    initialise(second, seed=1)
    assert torch.equal(first.weight, second.weight)
    initialise(second, seed=2)
    assert not torch.equal(first.weight, second.weight)
