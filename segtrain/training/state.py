"""The one object that changes while training."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from math import isfinite, nan

import torch
from torch import Tensor, nn

from segtrain.training.optimisers import make_optimiser
from segtrain.training.settings import TrainingSettings


@dataclass
class TrainingState:
    """Model, optimiser, and how far they have come. All other randomness is addressed and needs no state."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    total_steps: int
    steps_per_epoch: int
    average: nn.Module | None = None
    """A network whose weights are a running average of the model's; None: there is none."""
    step: int = 0
    """Steps that are done."""
    best: float | None = None
    """Best validation score so far."""
    losses: list[Tensor] = field(default_factory=list)
    """Losses of the epoch that is running, still on their device. One that is not finite changed no weight."""
    norms: list[Tensor] = field(default_factory=list)
    """Norms of the gradients of the same steps, before they were clipped; likewise."""
    seconds: float | None = 0.0
    """That the same steps took, in all sessions; None where an older version did some of them and wrote down none."""
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    """A row an epoch, as in metrics.csv."""
    spread: nn.Module | None = None
    """The model as several ranks train it (`Ranks.spread`); None where one process does."""
    compiled: nn.Module | None = None
    """The model through torch.compile, where a step calls that."""

    @property
    def network(self) -> nn.Module:
        """What a step calls."""
        called = (self.compiled, self.spread, self.model)
        return next(network for network in called if network is not None)  # a compiled network has no truth value

    @property
    def judged(self) -> nn.Module:
        """The network that is validated, kept as the best, and predicted with."""
        return self.model if self.average is None else self.average

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return self.step // self.steps_per_epoch

    @property
    def is_at_epoch_end(self) -> bool:
        """All steps of an epoch are done and nobody was told yet."""
        return bool(self.losses) and self.step % self.steps_per_epoch == 0

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.total_steps // self.steps_per_epoch

    def skipped(self) -> list[tuple[int, str]]:
        """Steps of this epoch, from 0, that changed nothing because something was not finite, and what. Waits for the
        device. A gradient that is not finite would spoil all weights, even under a finite loss."""
        found = []
        for place, (loss, norm) in enumerate(zip(_numbers(self.losses), _numbers(self.norms), strict=True)):
            if not isfinite(loss):
                found.append((place, f"the loss is {loss}"))
            elif not isfinite(norm):
                found.append((place, f"the norm of the gradient is {norm}"))
        return found

    def epoch_mean(self) -> float:
        """Mean loss of this epoch's steps that changed something; NaN where none did."""
        return self._mean(self.losses)

    def epoch_norm(self) -> float:
        """Mean norm of the gradient, likewise."""
        return self._mean(self.norms)

    def _mean(self, values: list[Tensor]) -> float:
        out = {place for place, _ in self.skipped()}
        kept = [value for place, value in enumerate(_numbers(values)) if place not in out]
        return sum(kept) / len(kept) if kept else nan

    def is_finite(self) -> bool:
        """Whether every weight is a number."""
        return all(bool(weights.isfinite().all()) for weights in self.model.parameters())


def new_state(model: nn.Module, settings: TrainingSettings, steps: int = 0) -> TrainingState:
    """Before the first of so many steps, in one epoch; 0: not known yet."""
    average = None if settings.ema_decay is None else copy.deepcopy(model).requires_grad_(False)
    return TrainingState(model, make_optimiser(model, settings), steps, steps, average)


def _numbers(values: list[Tensor]) -> list[float]:
    """Read from the device at once."""
    if not values:
        return []
    numbers: list[float] = torch.stack([value.float() for value in values]).tolist()
    return numbers
