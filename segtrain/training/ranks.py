"""Several processes that train one network, and what they exchange.

Every rank runs the same steps on its share of each batch. DistributedDataParallel averages the gradients while they are
made, so that all ranks have equal weights at every step. Numbers that the ranks exchange beside it live on the CPU and
go over gloo, so that no step waits for a device.

This module, `training.notices` and `losses.ranks` are the only ones that use torch.distributed, and nothing is
initialised in a process that is alone.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Protocol, TypeVar, cast
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segtrain.core.errors import EndedElsewhere, Problem, ResourceError
from segtrain.core.launch import Launch
from segtrain.training.devices import find_device
from segtrain.training.notices import Notices, exit_code_of, notices_of, translated

T = TypeVar("T")

PATIENCE = timedelta(minutes=30)
"""How long a collective waits; the longest wait is for a checkpoint on a slow disk."""


class Ranks(Protocol):
    """The processes of a training. Each method but the properties is a meeting: every rank has to come."""

    @property
    def rank(self) -> int:
        """This one, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def is_first(self) -> bool:
        """Whether this is the one that decides, writes and speaks."""

    @property
    def local_rank(self) -> int | None:
        """This one among those of its host; None for a process that is alone."""

    def any(self, asked: bool) -> bool:
        """Whether any rank asks; on the CPU, so that no step waits for a device."""

    def shared(self, value: T | None) -> T:
        """What the first rank holds, however long it is busy; the others pass None."""

    def gathered(self, value: T) -> list[T]:
        """What every rank holds, by rank."""

    def spread(self, model: nn.Module, unused: Collection[nn.Parameter]) -> nn.Module | None:
        """What a step calls instead of the model, whose parameters it has, so that gradients are those of all ranks.

        None where the model itself will do. The loss does not depend on parameters that are `unused`.
        """

    def copy_weights(self, model: nn.Module) -> None:
        """Give every rank the weights of the first one."""

    def ended_elsewhere(self) -> EndedElsewhere:
        """What a rank raises that ends because another one asked."""


class Alone:
    """One process."""

    rank, size, local_rank, is_first = 0, 1, None, True

    def any(self, asked: bool) -> bool:
        """What it asks itself."""
        return asked

    def shared(self, value: T | None) -> T:
        """The value."""
        return cast(T, value)

    def gathered(self, value: T) -> list[T]:
        """The value alone."""
        return [value]

    def spread(self, model: nn.Module, unused: Collection[nn.Parameter]) -> nn.Module | None:
        """The model will do."""
        del model, unused
        return None

    def copy_weights(self, model: nn.Module) -> None:
        """Nobody else needs them."""

    def ended_elsewhere(self) -> EndedElsewhere:
        """Never asked for: there is no elsewhere."""
        raise AssertionError("a process that is alone was ended by another")


ALONE = Alone()


class Together:
    """One of several processes, once they have met (`joined`)."""

    def __init__(self, launch: Launch, notices: Notices, device: torch.device) -> None:
        self.rank, self.size, self.local_rank = launch.rank, launch.size, launch.local_rank
        self.is_first = launch.is_first
        self._notices = notices
        self._device = device
        self._meetings = 0
        self._spreads: WeakSet[DistributedDataParallel] = WeakSet()  # each goes with the fit that it was for

    def any(self, asked: bool) -> bool:
        """One small all-reduce over gloo."""
        flag = torch.tensor(int(asked))
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def shared(self, value: T | None) -> T:
        """A broadcast, once all are there."""
        self._wait_for_all()
        held = [value]
        dist.broadcast_object_list(held, src=0)
        return cast(T, held[0])

    def gathered(self, value: T) -> list[T]:
        """A gather, once all are there."""
        self._wait_for_all()
        found: list[T | None] = [None] * self.size
        dist.all_gather_object(found, value)
        return cast(list[T], found)

    def spread(self, model: nn.Module, unused: Collection[nn.Parameter]) -> nn.Module | None:
        """DistributedDataParallel; building it gives all ranks the weights of the first one.

        It would wait for the gradient of every parameter that needs one when it is built. To look for those without in
        each step (`find_unused_parameters`) would wait for the device.
        """
        self.any(False)  # a rank that is not there is an error here, and would not be one in a broadcast between GPUs
        for parameter in unused:
            parameter.requires_grad_(False)
        devices = [self._device.index] if self._device.type == "cuda" else None
        spread = DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)
        for parameter in unused:
            parameter.requires_grad_(True)
        self._spreads.add(spread)
        return spread

    def copy_weights(self, model: nn.Module) -> None:
        """A broadcast of every tensor; of a file, other hosts may still see an older state."""
        self.any(False)  # as in `spread`
        for held in model.state_dict().values():
            sent = held.contiguous()
            dist.broadcast(sent, src=0)
            held.copy_(sent)

    def ended_elsewhere(self) -> EndedElsewhere:
        """Waits for the exit code of the rank that asked."""
        return self._notices.ended_elsewhere()

    def part(self) -> None:
        """Leave together: NCCL takes its connections down in all processes at once.

        Gloo may hang for ever in taking down those of a peer that is gone. So all that holds them goes while everybody
        is here, whoever still has a network that was spread: it cannot be trained any further.
        """
        self._wait_for_all()
        for spread in self._spreads:
            vars(spread).update(reducer=None, logger=None, process_group=None)
        self._spreads.clear()
        gc.collect()
        dist.destroy_process_group()
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        """However long it takes: no collective should wait for a rank that prepares scans for hours."""
        self._meetings += 1
        self._notices.put(f"meeting {self._meetings}", "here")
        self._notices.everybody(f"meeting {self._meetings}")


def own_rank() -> int:
    """This process among those that train together; 0 where it is alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean over ranks, without waiting for the device; itself in a process that is alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def exchanging(network: nn.Module, *, now: bool) -> AbstractContextManager[None]:
    """Around a part of a step: gradients are averaged over ranks with the last part, and only summed up before."""
    if now or not isinstance(network, DistributedDataParallel):
        return nullcontext()
    return cast(AbstractContextManager[None], network.no_sync())


@contextmanager
def joined(launch: Launch, device: str) -> Iterator[Together]:
    """Meet the other ranks, and end as they end.

    Whatever leaves this block is known to the others before: the first that fails raises its error, and the others an
    EndedElsewhere with its exit code. ResourceError where the ranks cannot meet, or one was lost without a word.
    """
    notices = notices_of(launch)
    try:
        group = _group(launch, notices, device)
        yield group
        group.part()
    except EndedElsewhere:
        raise
    except BaseException as error:
        own = translated(error)
        if not notices.speaks(exit_code_of(own)):
            raise notices.ended_elsewhere() from error
        if own is error:
            raise
        raise own from error


def _group(launch: Launch, notices: Notices, device: str) -> Together:
    """Join the collectives. ResourceError where a rank has no device of its own, or one of another kind."""
    # Of a 1x1 kernel there are two ways to write the strides down; both are the layout that was asked for.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    own = find_device(device, launch.local_rank)
    notices.put("device", own.type)
    for rank, other in enumerate(notices.everybody("device")):
        if other != own.type:
            what = f"rank {launch.rank} would train on {own.type}, rank {rank} on {other}"
            raise ResourceError(Problem(what, hint="--device cpu, or hosts that have the same kind of device"))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    backend = "cpu:gloo,cuda:nccl" if own.type == "cuda" and dist.is_nccl_available() else "gloo"
    table = dist.PrefixStore("group", notices.store)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=table, rank=launch.rank, world_size=launch.size, timeout=PATIENCE)
    return Together(launch, notices, own)
