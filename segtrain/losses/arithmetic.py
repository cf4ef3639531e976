"""Divisions, powers and means whose value and gradient stay finite at the ends of their range."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LINEAR_BELOW = 1e-8
"""Below this a root is continued as a straight line: the slope of x^k at 0 is infinite for k < 1."""


NOTHING = 1e-30
"""A sum of probabilities up to this counts as none: float32 cannot hold its inverse times a few voxels."""


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator, and the numerator itself (which is then 0 too) where the denominator is nothing."""
    return numerator / torch.where(denominator.abs() <= NOTHING, torch.ones_like(denominator), denominator)


def beside(other: Tensor, numbers: Sequence[float], dtype: torch.dtype) -> Tensor:
    """A few numbers on the device of a tensor, filled in one by one: a copy from the host would make a GPU wait."""
    found = torch.empty(len(numbers), dtype=dtype, device=other.device)
    for place, number in enumerate(numbers):
        found[place].fill_(number)
    return found


def exact(values: Tensor) -> torch.dtype:
    """The dtype for sums of very many values, and for differences of such: float64, which MPS alone does not have."""
    return torch.float32 if values.device.type == "mps" else torch.float64


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
