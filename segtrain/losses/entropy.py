"""Costs of one voxel that depend on its cross-entropy e = -log p_t alone: their value, and their slope in e.

With the slope written down, a sum of such costs needs no graph: its gradient in a logit is slope(e) (p - g).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from segtrain.losses.arithmetic import LINEAR_BELOW, bounded_power


class EntropyCost(ABC):
    """A cost phi(e), e >= 0. Equal parameters make equal costs, so that two parts of a loss can share one sum."""

    @abstractmethod
    def value(self, e: Tensor) -> Tensor:
        """phi(e), of the shape of e."""

    @abstractmethod
    def slope(self, e: Tensor) -> Tensor:
        """d phi / d e."""


@dataclass(frozen=True)
class PlainEntropy(EntropyCost):
    """e itself: cross-entropy."""

    def value(self, e: Tensor) -> Tensor:
        """The cross-entropy."""
        return e

    def slope(self, e: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(e)


PLAIN = PlainEntropy()


@dataclass(frozen=True)
class FocalEntropy(EntropyCost):
    """(1 - p_t)^gamma e."""

    gamma: float

    def value(self, e: Tensor) -> Tensor:
        """Lin 2017, without alpha."""
        return bounded_power(-torch.expm1(-e), self.gamma) * e

    def slope(self, e: Tensor) -> Tensor:
        """(1 - p_t)^gamma + gamma (1 - p_t)^(gamma - 1) p_t e."""
        if self.gamma == 0:
            return torch.ones_like(e)
        wrong = (-torch.expm1(-e)).clamp_min(LINEAR_BELOW)
        return wrong.pow(self.gamma - 1) * (wrong + self.gamma * torch.exp(-e) * e)
