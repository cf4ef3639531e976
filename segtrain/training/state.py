"""The one object that changes while training."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class TrainingState:
    """Model, optimiser, and how far they have come. All other randomness is addressed and needs no state."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    total_steps: int
    steps_per_epoch: int
    step: int = 0
    """Steps that are done."""
    best: float | None = None
    """Best validation score so far."""
    losses: list[Tensor] = field(default_factory=list)
    """Losses of the epoch that is running, still on their device."""
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    """A row an epoch, as in metrics.csv."""

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
