"""The training loop: a generator of events.

While it waits at `EpochEnded`, whoever consumes it validates, saves, shows, or breaks off. Nothing calls back
and nothing is overridden.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from math import inf

import torch
from torch import Tensor, nn

from segtrain.core.batch import Batch, Maps
from segtrain.core.errors import DivergedError, Problem
from segtrain.core.events import EpochEnded, StepEnded
from segtrain.core.memory import memory_errors
from segtrain.models.blocks import channels_last
from segtrain.training.devices import autocast
from segtrain.training.optimisers import learning_rate
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState

LossOnClasses = Callable[[tuple[Tensor, ...], Tensor, Maps], Tensor]
"""(logits finest first, classes (B, *S), the batch's maps) -> scalar."""


def train(
    state: TrainingState,
    batches: Iterable[Batch],
    loss: LossOnClasses,
    settings: TrainingSettings,
    device: torch.device,
) -> Iterator[StepEnded | EpochEnded]:
    """Run the steps for which there are batches; an epoch's loss is read from the device once.

    Whenever this waits at an event, `state` is whole: saved then and loaded later, training goes on as if it had
    not stopped. Raises DivergedError before the end of an epoch in which a loss, a gradient or a weight was not
    finite, and ResourceError where memory is too small.
    """
    state.model.train()
    ids: list[tuple[str, ...]] = []
    started = time.perf_counter()
    steps = iter(batches)
    while True:
        if state.is_at_epoch_end:
            mean = _finite_mean(state, ids)
            state.losses, state.norms = [], []
            rate = learning_rate(state.step - 1, state.total_steps, settings)
            yield EpochEnded(state.epoch, state.epochs, state.step, mean, rate, time.perf_counter() - started)
            ids, started = [], time.perf_counter()
            state.model.train()
        batch = next(steps, None)
        if batch is None:
            return
        rate = learning_rate(state.step, state.total_steps, settings)
        value, norm = _step(state, batch, loss, settings, rate, device)
        state.losses.append(value)
        state.norms.append(norm)
        ids.append(batch.case_ids)
        state.step += 1
        yield StepEnded(state.step, state.total_steps, state.epoch)


def _step(
    state: TrainingState,
    batch: Batch,
    loss: LossOnClasses,
    settings: TrainingSettings,
    rate: float,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """One optimiser step; returns the detached loss and the norm of its gradient without waiting for them."""
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    size = "x".join(map(str, batch.images.shape[2:]))
    doing = f"training on {len(batch.images)} patches of {size} voxels"
    hint = "set a smaller model.patch_size, training.batch_size or model.widths"
    with memory_errors(doing, hint, where=str(device)):
        layout = channels_last(batch.images.ndim - 2)
        images = batch.images.to(device, memory_format=layout, non_blocking=True)
        with autocast(device, settings.precision):
            logits = state.model(images)
        value = loss(logits, batch.classes.to(device, non_blocking=True), _moved(batch.maps, device))
        state.optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = nn.utils.clip_grad_norm_(state.model.parameters(), settings.clip_norm or inf)
        state.optimiser.step()
    return value.detach(), norm


def _moved(maps: Maps, device: torch.device) -> Maps:
    return tuple({name: values.to(device, non_blocking=True) for name, values in stage.items()} for stage in maps)


def _finite_mean(state: TrainingState, ids: list[tuple[str, ...]]) -> float:
    """Mean loss of an epoch; the first step that made something not finite is named with its cases.

    `ids` are the cases of the last steps: those before a resume were finite when they were saved.
    """
    found = state.fault()
    if found is not None:
        place, what = found
        behind = len(state.losses) - place
        raise DivergedError(
            Problem(
                f"{what} at step {state.step - behind + 1} of {state.total_steps}",
                where=f"cases {', '.join(ids[-behind])}" if behind <= len(ids) else "",
                why="the loss or its gradient overflowed, or an image holds values that are not finite",
                hint="lower training.learning_rate, or set training.precision=float32",
            )
        )
    return float(torch.stack([value.float().cpu() for value in state.losses]).mean())
