"""What every network is, and one of the user's own made into it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segtrain.core.errors import ConfigError, Problem, SegtrainError
from segtrain.core.plan import Plan
from segtrain.core.seeds import key_of


class Network(nn.Module, ABC):
    """Images (B, channels, *S) -> logits, finest first: a tensor a level while training, otherwise the finest alone."""

    @property
    @abstractmethod
    def levels(self) -> int:
        """Stages that answer while training."""

    @property
    @abstractmethod
    def input_weights(self) -> tuple[str, ...]:
        """Names of the weights (outputs, channels, *kernel) that read the image."""

    @property
    @abstractmethod
    def output_weights(self) -> tuple[str, ...]:
        """Names of the weights and biases with a row an output."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, *S) -> logits (B, outputs, *S_i)."""


class OwnNetwork(Network):
    """A network of the user's own: `make(plan, outputs)` is a module from images to logits.

    It may answer with one tensor or with several, finest first. What it draws at random follows from the seed alone.
    """

    def __init__(self, name: str, make: Callable[[Plan, int], Any], plan: Plan, *, outputs: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key_of(seed, "weights", "own network") % 2**63)
            self.network = _made(name, make, plan, outputs)
            sizes = _tried(name, self.network, plan, outputs)
        self.heads = nn.ModuleList(nn.Identity() for _ in sizes)

    @property
    def levels(self) -> int:
        """Stages that answer while training."""
        return len(self.heads)

    @property
    def input_weights(self) -> tuple[str, ...]:
        """Not known."""
        return ()

    @property
    def output_weights(self) -> tuple[str, ...]:
        """Not known."""
        return ()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, *S) -> logits, finest first."""
        logits = _as_levels(self.network(images))
        return logits if self.training else logits[:1]


def _made(name: str, make: Callable[[Plan, int], Any], plan: Plan, outputs: int) -> nn.Module:
    try:
        network = make(plan, outputs)
    except SegtrainError:
        raise
    except Exception as error:
        hint = "a network is called with (plan, outputs), and with its options by their names"
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(Problem(f"model {name!r} could not be built", "model", why, hint)) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            Problem(f"model {name!r} is not a torch.nn.Module", "model", f"it is a {type(network).__name__}")
        )
    return network


def _tried(name: str, network: nn.Module, plan: Plan, outputs: int) -> list[tuple[int, ...]]:
    """Sizes of the levels that a copy answers a patch with; ConfigError where one is not what the plan makes of it."""
    patch = [size for axis, size in enumerate(plan.patch_size) if axis != plan.slice_axis]
    image = torch.zeros(2, len(plan.channels), *patch)
    hint = "it takes images (B, channels, *S) and returns logits (B, outputs, *S), or several, finest first"
    try:
        with torch.no_grad():
            logits = _as_levels(copy.deepcopy(network).train()(image))
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(Problem(f"model {name!r} cannot read a patch", "model", why, hint)) from error
    found = [tuple(level.shape) for level in logits]
    for level, (shape, factors) in enumerate(zip(found, _factors(plan), strict=False)):
        wanted = (2, outputs, *(n // f for n, f in zip(patch, factors, strict=True)))
        if shape != wanted:
            what = f"model {name!r} answers with {shape} at level {level}, not {wanted}"
            raise ConfigError(Problem(what, "model", hint=hint))
    if len(found) > len(plan.widths):
        raise ConfigError(
            Problem(f"model {name!r} answers at {len(found)} levels, the plan has {len(plan.widths)}", "model")
        )
    return found


def _factors(plan: Plan) -> list[list[int]]:
    """By how much each stage of a plan is coarser than the patch."""
    keep = [axis for axis in range(3) if axis != plan.slice_axis]
    factors = [[1] * len(keep)]
    for stride in plan.strides:
        factors.append([f * stride[axis] for f, axis in zip(factors[-1], keep, strict=True)])
    return factors


def _as_levels(answer: Any) -> tuple[Tensor, ...]:
    levels: Sequence[Any] = answer if isinstance(answer, tuple | list) else (answer,)
    if not levels or not all(isinstance(level, Tensor) for level in levels):
        raise TypeError(f"it answers with {type(answer).__name__}")
    return tuple(levels)
