"""Costs of one voxel that depend on its cross-entropy e = -log p_t alone: their value, and their slope in e.

With the slope written down, a sum of such costs needs no graph: its gradient in a logit is slope(e) (p - g).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from segtrain.losses.arithmetic import LINEAR_BELOW, bounded_power


@dataclass(frozen=True, eq=False)
class Certainty:
    """How sure the answer is of the truth in each voxel: three forms of one number.

    From the cross-entropy (`of`) each has all its digits. Made from p_t, as under softmax, e and 1 - p_t have as many
    as p_t leaves them: next to p_t = 1 they are only known up to the rounding of 1.
    """

    e: Tensor
    """Cross-entropy, -log p_t."""
    p: Tensor
    """p_t."""
    wrong: Tensor
    """1 - p_t."""

    @staticmethod
    def of(e: Tensor) -> Certainty:
        """From the cross-entropy alone."""
        return Certainty(e, torch.exp(-e), -torch.expm1(-e))


class EntropyCost(ABC):
    """A cost phi(e), e >= 0. Equal parameters make equal costs, so that two parts of a loss can share one sum."""

    @abstractmethod
    def value(self, at: Certainty) -> Tensor:
        """phi(e), of the shape of e."""

    @abstractmethod
    def slope(self, at: Certainty) -> Tensor:
        """d phi / d e."""


@dataclass(frozen=True)
class PlainEntropy(EntropyCost):
    """e itself: cross-entropy."""

    def value(self, at: Certainty) -> Tensor:
        """The cross-entropy."""
        return at.e

    def slope(self, at: Certainty) -> Tensor:
        """1."""
        return torch.ones_like(at.e)


PLAIN = PlainEntropy()


@dataclass(frozen=True)
class FocalEntropy(EntropyCost):
    """(1 - p_t)^gamma e."""

    gamma: float

    def value(self, at: Certainty) -> Tensor:
        """Lin 2017, without alpha."""
        return bounded_power(at.wrong, self.gamma) * at.e

    def slope(self, at: Certainty) -> Tensor:
        """(1 - p_t)^gamma + gamma (1 - p_t)^(gamma - 1) p_t e."""
        if self.gamma == 0:
            return torch.ones_like(at.e)
        wrong = at.wrong.clamp_min(LINEAR_BELOW)
        return wrong.pow(self.gamma - 1) * torch.addcmul(wrong, at.p, at.e, value=self.gamma)


@dataclass(frozen=True)
class WrongEntropy(EntropyCost):
    """(1 - p_t)^gamma: how wrong a voxel is, the factor of the focal loss by itself."""

    gamma: float

    def value(self, at: Certainty) -> Tensor:
        """Between 0 and 1."""
        return bounded_power(at.wrong, self.gamma)

    def slope(self, at: Certainty) -> Tensor:
        """gamma (1 - p_t)^(gamma - 1) p_t."""
        wrong = at.wrong.clamp_min(LINEAR_BELOW)
        return self.gamma * wrong.pow(self.gamma - 1) * at.p


@dataclass(frozen=True)
class ReducedFocalEntropy(EntropyCost):
    """e where p_t < threshold, else ((1 - p_t) / threshold)^gamma e."""

    gamma: float
    threshold: float

    def value(self, at: Certainty) -> Tensor:
        """Continuous at the threshold where that is 0.5."""
        return self._where_wrong(at, at.e, FocalEntropy(self.gamma).value(at))

    def slope(self, at: Certainty) -> Tensor:
        """1, or that of the focal loss over threshold^gamma."""
        return self._where_wrong(at, torch.ones_like(at.e), FocalEntropy(self.gamma).slope(at))

    def _where_wrong(self, at: Certainty, wrong: Tensor, focal: Tensor) -> Tensor:
        return torch.where(at.p < self.threshold, wrong, focal / self.threshold**self.gamma)


@dataclass(frozen=True)
class PolyEntropy(EntropyCost):
    """(1 - p_t)^gamma e + epsilon (1 - p_t)^(gamma + 1): the first term of its polynomial gets another weight."""

    gamma: float
    epsilon: float

    def value(self, at: Certainty) -> Tensor:
        """Poly-1 of the cross-entropy (gamma 0) or of the focal loss."""
        return FocalEntropy(self.gamma).value(at) + self.epsilon * WrongEntropy(self.gamma + 1).value(at)

    def slope(self, at: Certainty) -> Tensor:
        """Sum of the two slopes."""
        return FocalEntropy(self.gamma).slope(at) + self.epsilon * WrongEntropy(self.gamma + 1).slope(at)


@dataclass(frozen=True)
class GeneralizedEntropy(EntropyCost):
    """(1 - p_t^q) / q: from cross-entropy (q -> 0) to the mean absolute error (q = 1)."""

    q: float

    def value(self, at: Certainty) -> Tensor:
        """With all its digits for any q > 0."""
        return -torch.expm1(-self.q * at.e) / self.q

    def slope(self, at: Certainty) -> Tensor:
        """p_t^q."""
        return torch.exp(-self.q * at.e)


@dataclass(frozen=True)
class SymmetricEntropy(EntropyCost):
    """a e + b (1 - p_t)."""

    ce_weight: float
    wrong_weight: float

    def value(self, at: Certainty) -> Tensor:
        """Cross-entropy and reverse cross-entropy."""
        return self.ce_weight * at.e + self.wrong_weight * at.wrong

    def slope(self, at: Certainty) -> Tensor:
        """a + b p_t."""
        return self.ce_weight + self.wrong_weight * at.p


@dataclass(frozen=True)
class PowerEntropy(EntropyCost):
    """e^exponent."""

    exponent: float

    def value(self, at: Certainty) -> Tensor:
        """A straight line next to 0, where the slope of a root would be infinite."""
        return bounded_power(at.e, self.exponent)

    def slope(self, at: Certainty) -> Tensor:
        """exponent e^(exponent - 1)."""
        if self.exponent >= 1:
            return self.exponent * at.e.clamp_min(0).pow(self.exponent - 1)
        steep = torch.where(at.e < LINEAR_BELOW, 1.0, self.exponent)
        return steep * at.e.clamp_min(LINEAR_BELOW).pow(self.exponent - 1)
