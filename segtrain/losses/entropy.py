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


@dataclass(frozen=True)
class WrongEntropy(EntropyCost):
    """(1 - p_t)^gamma: how wrong a voxel is, the factor of the focal loss by itself."""

    gamma: float

    def value(self, e: Tensor) -> Tensor:
        """Between 0 and 1."""
        return bounded_power(-torch.expm1(-e), self.gamma)

    def slope(self, e: Tensor) -> Tensor:
        """gamma (1 - p_t)^(gamma - 1) p_t."""
        wrong = (-torch.expm1(-e)).clamp_min(LINEAR_BELOW)
        return self.gamma * wrong.pow(self.gamma - 1) * torch.exp(-e)


@dataclass(frozen=True)
class ReducedFocalEntropy(EntropyCost):
    """e where p_t < threshold, else ((1 - p_t) / threshold)^gamma e."""

    gamma: float
    threshold: float

    def value(self, e: Tensor) -> Tensor:
        """Continuous at the threshold where that is 0.5."""
        return self._where_wrong(e, e, FocalEntropy(self.gamma).value(e))

    def slope(self, e: Tensor) -> Tensor:
        """1, or that of the focal loss over threshold^gamma."""
        return self._where_wrong(e, torch.ones_like(e), FocalEntropy(self.gamma).slope(e))

    def _where_wrong(self, e: Tensor, wrong: Tensor, focal: Tensor) -> Tensor:
        return torch.where(torch.exp(-e) < self.threshold, wrong, focal / self.threshold**self.gamma)


@dataclass(frozen=True)
class PolyEntropy(EntropyCost):
    """(1 - p_t)^gamma e + epsilon (1 - p_t)^(gamma + 1): the first term of its polynomial gets another weight."""

    gamma: float
    epsilon: float

    def value(self, e: Tensor) -> Tensor:
        """Poly-1 of the cross-entropy (gamma 0) or of the focal loss."""
        return FocalEntropy(self.gamma).value(e) + self.epsilon * WrongEntropy(self.gamma + 1).value(e)

    def slope(self, e: Tensor) -> Tensor:
        """Sum of the two slopes."""
        return FocalEntropy(self.gamma).slope(e) + self.epsilon * WrongEntropy(self.gamma + 1).slope(e)


@dataclass(frozen=True)
class GeneralizedEntropy(EntropyCost):
    """(1 - p_t^q) / q: from cross-entropy (q -> 0) to the mean absolute error (q = 1)."""

    q: float

    def value(self, e: Tensor) -> Tensor:
        """With all its digits for any q > 0."""
        return -torch.expm1(-self.q * e) / self.q

    def slope(self, e: Tensor) -> Tensor:
        """p_t^q."""
        return torch.exp(-self.q * e)


@dataclass(frozen=True)
class SymmetricEntropy(EntropyCost):
    """a e + b (1 - p_t)."""

    ce_weight: float
    wrong_weight: float

    def value(self, e: Tensor) -> Tensor:
        """Cross-entropy and reverse cross-entropy."""
        return self.ce_weight * e - self.wrong_weight * torch.expm1(-e)

    def slope(self, e: Tensor) -> Tensor:
        """a + b p_t."""
        return self.ce_weight + self.wrong_weight * torch.exp(-e)


@dataclass(frozen=True)
class PowerEntropy(EntropyCost):
    """e^exponent."""

    exponent: float

    def value(self, e: Tensor) -> Tensor:
        """A straight line next to 0, where the slope of a root would be infinite."""
        return bounded_power(e, self.exponent)

    def slope(self, e: Tensor) -> Tensor:
        """exponent e^(exponent - 1)."""
        if self.exponent >= 1:
            return self.exponent * e.clamp_min(0).pow(self.exponent - 1)
        steep = torch.where(e < LINEAR_BELOW, 1.0, self.exponent)
        return steep * e.clamp_min(LINEAR_BELOW).pow(self.exponent - 1)
