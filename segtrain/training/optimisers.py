"""Settings -> optimiser, and the rate of every step as a pure function."""

from __future__ import annotations

import math

import torch
from torch import nn

from segtrain.training.settings import TrainingSettings

POLY_EXPONENT = 0.9
"""nnU-Net (Isensee et al. 2021)."""


def make_optimiser(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser asked for; biases and normalisation are not decayed.

    SGD begins with a momentum of 0, which gives the same first step as torch's own beginning; that would be memory
    nobody wrote to if the first step were left out because it is not finite.
    """
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    if settings.optimiser == "sgd":
        momentum = settings.momentum
        sgd = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
        if momentum:
            for parameter in model.parameters():
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Rate of step 0 ... total_steps - 1: a linear climb, then a fall to zero (Loshchilov & Hutter 2017; nnU-Net)."""
    warmup = max(1, round(settings.warmup_share * total_steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    if settings.schedule == "poly":
        return settings.learning_rate * float((1 - progress) ** POLY_EXPONENT)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
