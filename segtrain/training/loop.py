"""The training loop: a generator of events.

While it waits at `EpochEnded`, whoever consumes it validates, saves, shows, or breaks off. Nothing calls back
and nothing is overridden.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import inf

import torch
from torch import Tensor, nn

from segtrain.core.batch import Batch, Maps, moved
from segtrain.core.errors import DivergedError, Problem
from segtrain.core.events import EpochEnded, StepEnded
from segtrain.core.memory import memory_errors
from segtrain.core.seeds import key_of
from segtrain.models.blocks import channels_last
from segtrain.models.network import OwnNetwork
from segtrain.training.devices import autocast
from segtrain.training.optimisers import learning_rate
from segtrain.training.ranks import exchanging, mean_over_ranks, own_rank
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState

LossOnClasses = Callable[[tuple[Tensor, ...], Tensor, Maps], Tensor]
"""(logits finest first, classes (B, *S), the batch's maps) -> scalar."""


MOST_SKIPPED = 3
"""So many steps of one epoch that are not finite end the training."""

LOOK_EVERY = 25
"""Steps between two looks for them. A look waits for the device."""


def train(
    state: TrainingState,
    batches: Iterable[Batch],
    loss: LossOnClasses,
    settings: TrainingSettings,
    device: torch.device,
) -> Iterator[StepEnded | EpochEnded]:
    """Run the steps for which there are batches; an epoch's losses are read from the device at its end.

    Whenever this waits at an event, `state` is whole: saved then and loaded later, training goes on as if it had
    not stopped. A step whose loss or gradient is not finite changes nothing; the third of an epoch raises
    DivergedError with their cases. ResourceError where memory is too small.
    """
    state.model.train()
    ids: list[tuple[str, ...]] = []
    last = time.perf_counter()
    steps = iter(batches)
    while True:
        if state.is_at_epoch_end:
            _require_finite(state, ids, at_end=True)
            mean, slope, skipped = state.epoch_mean(), state.epoch_norm(), len(state.skipped())
            _count(state, last)
            seconds = state.seconds
            state.losses, state.norms, state.seconds = [], [], 0.0
            rate = learning_rate(state.step - 1, state.total_steps, settings)
            yield EpochEnded(state.epoch, state.epochs, state.step, mean, rate, seconds, skipped, slope)
            ids, last = [], time.perf_counter()
            state.model.train()
        batch = next(steps, None)
        if batch is None:
            return
        value, norm = _step(state, batch, loss, settings, device)
        state.losses.append(value)
        state.norms.append(norm)
        ids.append(batch.case_ids)
        state.step += 1
        if state.step % LOOK_EVERY == 0:
            _require_finite(state, ids)
        last = _count(state, last)
        yield StepEnded(state.step, state.total_steps, state.epoch)


def _count(state: TrainingState, since: float) -> float:
    """Add the seconds since then to those of the epoch; returns now, on the same clock."""
    now = time.perf_counter()
    if state.seconds is not None:
        state.seconds += now - since
    return now


def _step(
    state: TrainingState, batch: Batch, loss: LossOnClasses, settings: TrainingSettings, device: torch.device
) -> tuple[Tensor, Tensor]:
    """One optimiser step; returns the detached loss and the norm of its gradient without waiting for them."""
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state.step, state.total_steps, settings)
    size = "x".join(map(str, batch.images.shape[2:]))
    doing = f"training on {len(batch.images)} patches of {size} voxels"
    hint = "set a smaller model.patch_size or model.widths, or training.accumulation"
    with memory_errors(doing, hint, where=str(device)):
        if isinstance(state.model, OwnNetwork):  # it may draw at random, as dropout does; ours do not
            torch.manual_seed(key_of(settings.seed, "step", state.step, own_rank()) % 2**63)
        state.optimiser.zero_grad(set_to_none=True)
        parts = []
        for number, part in enumerate(split(batch, settings.accumulation), start=1):
            with exchanging(state.network, now=number == settings.accumulation):
                parts.append(_backward(state.network, part, loss, settings, device))
        value = mean_over_ranks(torch.stack(parts).mean())
        norm = nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip_norm or inf)
        _change(state.optimiser, (value + norm).isfinite(), device)
        if state.average is not None:
            follow(state.average, state.model, state.step, settings.ema_decay or 0.0)
    return value, norm


def _change(optimiser: torch.optim.Optimizer, is_finite: Tensor, device: torch.device) -> None:
    """Let the optimiser take its step where that is finite."""
    if device.type == "mps":
        if is_finite:  # its fused kernels do not look at found_inf, so that here a step waits for the number
            optimiser.step()
        return
    # The fused optimisers leave everything as it is where this is 1: no need to wait for the number here.
    optimiser.found_inf = (~is_finite).float()  # type: ignore[attr-defined]
    optimiser.step()


def _backward(
    model: nn.Module, batch: Batch, loss: LossOnClasses, settings: TrainingSettings, device: torch.device
) -> Tensor:
    """Add the gradient of a part of the batch to the parameters; its detached loss."""
    layout = channels_last(batch.images.ndim - 2)
    images = batch.images.to(device, memory_format=layout, non_blocking=True)
    with autocast(device, settings.precision):
        logits = model(images)
    value = loss(logits, batch.classes.to(device, non_blocking=True), moved(batch.maps, device))
    (value / settings.accumulation).backward()
    return value.detach()


def split(batch: Batch, parts: int) -> Iterator[Batch]:
    """Equal parts of a batch, in order. ValueError where there are none."""
    if parts == 1:
        yield batch
        return
    size, rest = divmod(len(batch.images), parts)
    if rest or not size:
        raise ValueError(f"a batch of {len(batch.images)} has no {parts} equal parts")
    for start in range(0, len(batch.images), size):
        place = slice(start, start + size)
        maps = tuple({name: values[place] for name, values in stage.items()} for stage in batch.maps)
        yield Batch(batch.images[place], batch.classes[place], batch.case_ids[place], maps)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the running average towards the model after step 0, 1, ...; at first faster, so that it leaves its start.

    What is no weight, as the statistics of a batch normalisation, is the model's.
    """
    reached = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - reached)
    for own, there in zip(average.buffers(), model.buffers(), strict=True):
        own.copy_(there)


def _require_finite(state: TrainingState, ids: list[tuple[str, ...]], *, at_end: bool = False) -> None:
    """DivergedError where too many steps of the epoch were not finite, or at its end all, or where a weight is not.

    `ids` are the cases of the last steps; of steps before a resume they are not known any more.
    """
    hint = "lower training.learning_rate, set training.precision=float32, or look at the scans that are named"
    skipped = state.skipped()
    if len(skipped) >= MOST_SKIPPED or (at_end and len(skipped) == len(state.losses)):
        problems = []
        for place, what in skipped[:MOST_SKIPPED]:
            behind = len(state.losses) - place
            where = f"cases {', '.join(ids[-behind])}" if behind <= len(ids) else ""
            problems.append(Problem(f"{what} at step {state.step - behind + 1} of {state.total_steps}", where))
        why = "the loss or its gradient overflowed, or an image holds values that are not finite"
        raise DivergedError(*problems[:-1], replace(problems[-1], why=why, hint=hint))
    if not state.is_finite():
        what = f"a weight is not finite after step {state.step} of {state.total_steps}"
        raise DivergedError(Problem(what, hint=hint))
