"""Divisions, powers and means whose value and gradient stay finite at the ends of their range."""

from __future__ import annotations

import torch
from torch import Tensor

LINEAR_BELOW = 1e-8
"""Below this a root is continued as a straight line: the slope of x^k at 0 is infinite for k < 1."""


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, and the numerator itself (which is then 0) where the denominator is 0."""
    return numerator / torch.where(denominator == 0, torch.ones_like(denominator), denominator)


def bounded_power(base: Tensor, exponent: float) -> Tensor:
    """base ** exponent for base >= 0 (up to rounding) and exponent >= 0, with a finite gradient at base 0."""
    if exponent == 0:
        return torch.ones_like(base)
    if exponent >= 1:
        return base.clamp_min(0) ** exponent
    floored = base.clamp_min(LINEAR_BELOW)
    return floored**exponent * (base / floored)


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of all `values`; weights broadcast to them. Weights that sum to 0 give 0, still joined to the graph."""
    if weights is None:
        return values.mean()
    weights = weights.to(values.dtype).expand_as(values)
    return ratio((values * weights).sum(), weights.sum())
