"""The one object that changes while training."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

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
    norms: list[Tensor] = field(default_factory=list)
    """Norms of the gradients of the same steps, before they were clipped."""
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

    def fault(self) -> tuple[int, str] | None:
        """The first step of this epoch, from 0, that made something not finite, and what; None: all may be saved.

        Waits for the device. A gradient that is not finite spoils all weights, even under a finite loss.
        """
        for place, (loss, norm) in enumerate(zip(self.losses, self.norms, strict=True)):
            for name, value in (("loss", loss.item()), ("norm of the gradient", norm.item())):
                if not isfinite(value):
                    return place, f"the {name} is {value}"
        if not all(bool(weights.isfinite().all()) for weights in self.model.parameters()):
            return len(self.losses) - 1, "a weight is not finite"
        return None

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.total_steps // self.steps_per_epoch
