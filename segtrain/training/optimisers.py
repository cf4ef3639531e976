"""Settings -> optimiser, and the rate of every step as a pure function."""

from __future__ import annotations

import math

import torch
from torch import nn

from segtrain.training.settings import TrainingSettings


def make_optimiser(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019); biases and normalisation are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Rate of step 0 ... total_steps - 1: a linear climb, then a cosine to zero (Loshchilov & Hutter 2017)."""
    warmup = max(1, round(settings.warmup_share * total_steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
