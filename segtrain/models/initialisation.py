"""Weights before training, drawn by the *name* of the parameter.

Two networks that differ only in the number of outputs therefore start from the same weights everywhere else: that is
what makes a race between losses fair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from segtrain.core.seeds import key_of
from segtrain.models.blocks import LEAK


def initialise(model: nn.Module, seed: int) -> None:
    """He's normal initialisation for a leaky ReLU; biases and shifts are zero, scales are one."""
    gain = nn.init.calculate_gain("leaky_relu", LEAK)
    for name, weight in _drawn_weights(model):
        fan_in = weight[0].numel()
        generator = torch.Generator().manual_seed(key_of(seed, "weights", name) % 2**63)
        with torch.no_grad():
            weight.copy_(torch.empty(weight.shape).normal_(0, gain / math.sqrt(fan_in), generator=generator))


def _drawn_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            yield name, parameter
        else:
            nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)
