"""How a loss answers to errors: a disc on a plane, missed, shifted, blown up, or drawn without certainty.

The picture that a formula does not give: how steep the loss is near the truth, whether a wholly missed object still
pulls, and what a missed voxel weighs against an invented one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segtrain.losses.registry import build_loss, supported_modes
from segtrain.losses.voxels import Mode

SIDE = 64
RADIUS = 10
"""Voxels."""
CERTAIN = 6.0
"""Logit of a sure answer: a probability of 0.998."""


@dataclass(frozen=True)
class Curve:
    """Values of a loss, or of its gradient, over an error."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Response:
    """The curves of one loss, for one foreground class."""

    size: Curve
    """Over the radius of the answer, in shares of the true one."""
    place: Curve
    """Over the shift of the answer, in true radii."""
    certainty: Curve
    """Over the probability given to the right answer, everywhere alike."""
    missed: Curve
    """Pull on the logit of a voxel of the object, over its probability; all other voxels are right."""
    invented: Curve
    """The same for a voxel of the background."""


def response_of(name: str, **options: Any) -> Response:
    """Try the loss of that name. ConfigError as `build_loss`."""
    mode: Mode = next(m for m in supported_modes(name) if m in ("binary", "multiclass"))
    loss = build_loss(name, mode, **options)
    truth = disc(RADIUS, 0)

    def value(foreground: Tensor) -> Tensor:
        found: Tensor = loss(_logits(foreground, mode), _target(truth, mode))
        return found

    shares = torch.linspace(0, 2, 41).tolist()
    shifts = torch.linspace(0, 2, 41).tolist()
    chances = torch.linspace(0.02, 0.995, 60).tolist()
    sign = 2 * truth - 1
    return Response(
        size=_curve("size", shares, lambda s: value(_sure(disc(RADIUS * s, 0)))),
        place=_curve("place", shifts, lambda s: value(_sure(disc(RADIUS, RADIUS * s)))),
        certainty=_curve("certainty", chances, lambda p: value(sign * _logit(p))),
        missed=_curve("missed", chances, lambda p: _pull(value, sign, (SIDE // 2, SIDE // 2), p)),
        invented=_curve("invented", chances, lambda p: _pull(value, sign, (2, 2), p)),
    )


def disc(radius: float, shift: float) -> Tensor:
    """(S, S) floats: a disc at the centre, moved by `shift` voxels along the last axis."""
    middle = SIDE // 2
    axis = torch.arange(SIDE, dtype=torch.float64) - middle
    return (axis.view(-1, 1) ** 2 + (axis - shift) ** 2 < radius**2).double()


def _sure(mask: Tensor) -> Tensor:
    return CERTAIN * (2 * mask - 1)


def _logit(p: float) -> float:
    return float(torch.logit(torch.tensor(p, dtype=torch.float64)))


def _logits(foreground: Tensor, mode: Mode) -> Tensor:
    """(1, C, S, S); a softmax over [0, x] is the sigmoid of x."""
    one = foreground.view(1, 1, SIDE, SIDE)
    return one if mode == "binary" else torch.cat([torch.zeros_like(one), one], 1)


def _target(truth: Tensor, mode: Mode) -> Tensor:
    shape = (1, 1, SIDE, SIDE) if mode == "binary" else (1, SIDE, SIDE)
    return truth.long().view(shape)


def _pull(value: Callable[[Tensor], Tensor], sign: Tensor, voxel: tuple[int, int], p: float) -> Tensor:
    """Size of the gradient in one voxel's logit that drives it to its truth, at probability p of the foreground."""
    x = CERTAIN * sign
    x[voxel] = _logit(p)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(value(x), x)
    return -gradient[voxel] * sign[voxel]


def _curve(name: str, places: Sequence[float], of: Callable[[float], Tensor]) -> Curve:
    return Curve(name, tuple(places), tuple(float(of(place).detach()) for place in places))
