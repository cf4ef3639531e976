"""What each of several ranks does: an equal share of a batch, some of the cases, the same network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.memory import memory_errors
from segtrain.recipes.assemble import TrainingLoss
from segtrain.training.ranks import Ranks
from segtrain.training.settings import TrainingSettings

T = TypeVar("T")


def share_of(batch_size: int, settings: TrainingSettings, ranks: Ranks) -> range:
    """Places in a batch of what this rank trains on: equal shares, so that the mean of their losses is the batch's.

    ConfigError where shares, or the parts of one, would not be equal.
    """
    share, rest = divmod(batch_size, ranks.size)
    if rest:
        fewer = max(n for n in range(1, ranks.size) if batch_size % n == 0)
        what = f"a batch of {batch_size} cannot be shared equally by {ranks.size} processes"
        hint = f"set training.batch_size={ranks.size * (share + 1)}, or let torchrun start {fewer} in all"
        raise ConfigError(Problem(what, "training.batch_size", hint=hint))
    if share % settings.accumulation:
        whole = "a batch" if ranks.size == 1 else "a process's share of the batch,"
        hint = f"set training.batch_size to a multiple of {settings.accumulation * ranks.size}"
        what = f"{whole} of {share} has no {settings.accumulation} equal parts"
        raise ConfigError(Problem(what, "training.accumulation", hint=hint))
    return range(ranks.rank * share, (ranks.rank + 1) * share)


def spread(model: nn.Module, loss: TrainingLoss, channels: int, ranks: Ranks) -> nn.Module | None:
    """The model as all ranks train it; None for one process."""
    if ranks.size == 1:
        return None
    with memory_errors("sharing the network with the other processes", "set smaller model.widths"):
        return ranks.spread(model, unused_parameters(model, loss, channels))


def unused_parameters(model: nn.Module, loss: TrainingLoss, channels: int) -> list[nn.Parameter]:
    """Those on which no output that counts depends, as the head of the coarsest stage.

    Found on the device `meta`, which knows shapes and no numbers.
    """
    twin = copy.deepcopy(model).to("meta").train()
    outputs = twin(torch.empty(2, channels, *loss.stages[0].size, device="meta"))
    counted = [level.sum() for level, weight in zip(outputs, loss.loss.weights, strict=True) if weight > 0]
    pairs = [(own, far) for own, far in zip(model.parameters(), twin.parameters(), strict=True) if far.requires_grad]
    slopes = torch.autograd.grad(torch.stack(counted).sum(), [far for _, far in pairs], allow_unused=True)
    return [own for (own, _), slope in zip(pairs, slopes, strict=True) if slope is None]


def dealt(things: Sequence[T], ranks: Ranks) -> Sequence[T]:
    """This rank's of some things, dealt like cards; there may be none."""
    return things[ranks.rank :: ranks.size]


def collected(hands: Sequence[Sequence[T]]) -> list[T]:
    """What was dealt, in the order in which it lay; a hand may hold less than it was dealt."""
    longest = max(map(len, hands))
    return [hand[place] for place in range(longest) for hand in hands if place < len(hand)]
