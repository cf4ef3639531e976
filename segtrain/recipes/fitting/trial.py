"""A few real steps: what a training takes is measured on three of its cases, and multiplied by whoever asks."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import DataError, raise_all
from segtrain.core.events import Event
from segtrain.core.plan import Plan
from segtrain.data.leaks import leaks_in
from segtrain.data.prepare import work_grid
from segtrain.data.splits import Fold, Splits
from segtrain.inference.sliding_window import window_starts
from segtrain.losses.schedule import set_progress
from segtrain.models.unet import count_parameters
from segtrain.recipes.dataset import fingerprint_all, prepare_all
from segtrain.recipes.fitting.budget import HALF_WAY
from segtrain.recipes.fitting.decide import plan_from
from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import Shared, Sound
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.loop import train
from segtrain.training.memory import peak_bytes

FEWEST_STEPS, MOST_STEPS, ENOUGH_SECONDS = 2, 6, 4.0
"""Steps that are run: the first is the start-up and is not timed; slow ones are not repeated for long."""


@dataclass(frozen=True, eq=False)
class Work:
    """What a fit would go through."""

    loaded: Loaded
    plan: Plan
    fold: Fold
    cases: tuple[Case, ...]
    """Those of the fold."""
    shapes: Mapping[str, tuple[int, ...]]
    """Case -> voxels along each axis once it is prepared."""

    def voxels(self, *cases: str) -> int:
        """Of these cases, or of all."""
        return sum(math.prod(self.shapes[case]) for case in cases or self.shapes)

    def windows(self, shape: tuple[int, ...]) -> int:
        """Windows over a prepared scan."""
        padded = tuple(max(n, size) for n, size in zip(shape, self.plan.patch_size, strict=True))
        return len(window_starts(padded, self.plan.patch_size, self.loaded.config.inference.overlap))


@dataclass(frozen=True)
class Measured:
    """What a few steps and cases took."""

    parameters: int
    steps_per_epoch: int
    total_steps: int
    loss: float
    first_step_seconds: float
    step_seconds: float
    window_seconds: float
    voxel_seconds: float
    """Preparing, for each voxel of the plan's grid."""
    voxel_bytes: float
    """Of the store, likewise."""
    checkpoint_bytes: int
    peak_bytes: int | None


@dataclass(frozen=True, eq=False)
class Few:
    """Cases that were prepared for a trial."""

    cases: tuple[Case, ...]
    fold: Fold
    prepared: Mapping[str, Path]
    seconds: float
    """That it took."""


def looked_through(sound: Sound, device: torch.device) -> Generator[Event, None, Work]:
    """Read all scans, as a fit does first, and plan."""
    config, chosen = sound.loaded.config, sound.splits.folds[0]
    names, workers = config.data.channel_names, config.data.workers
    records = yield from fingerprint_all(sound.cases, names, config.task, workers=workers)
    raise_all(DataError, leaks_in([chosen], records, sound.cases))
    plan = plan_from(sound.loaded, records, chosen, device)
    cases = tuple(case for case in sound.cases if case.id in {*chosen.train, *chosen.validation})
    shapes = {case.id: work_grid(records[case.id].grid, plan).shape for case in cases}
    return Work(sound.loaded, plan, chosen, cases, shapes)


def few_of(work: Work) -> Fold:
    """The training case of median size, the largest one, and the validation case of median size."""

    def by_size(cases: tuple[str, ...]) -> list[str]:
        return sorted(cases, key=lambda case: (work.voxels(case), case))

    train, validation = by_size(work.fold.train), by_size(work.fold.validation)
    picked = dict.fromkeys((train[len(train) // 2], train[-1]))
    return Fold(train=tuple(picked), validation=(validation[len(validation) // 2],))


def prepare_few(work: Work, place: Path) -> Generator[Event, None, Few]:
    """Prepare a few cases below a folder that is deleted afterwards."""
    few = few_of(work)
    cases = tuple(case for case in work.cases if case.id in {*few.train, *few.validation})
    began = time.perf_counter()
    prepared = yield from prepare_all(cases, work.plan, work.loaded.config.task, place / "store", workers=0)
    return Few(cases, few, prepared, time.perf_counter() - began)


def measure(
    sound: Sound, work: Work, few: Few, device: torch.device, run: Path, steps_per_epoch: int | None = None
) -> Generator[Event, None, Measured]:
    """Train some steps on a few cases with the loss of `sound`, and predict a little; `run` is deleted afterwards.

    With a budget of minutes `steps_per_epoch` are those that another training found out; None finds them out.
    """
    training = sound.loaded.config.training
    splits = Splits((few.fold,), sound.splits.seed)
    steps = steps_per_epoch if training.budget_minutes else training.steps_per_epoch
    shared = Shared(work.plan, splits, few.cases, few.prepared, steps)
    run.mkdir(parents=True)
    job = yield from set_up(replace(sound, cases=few.cases, splits=splits), RunFolder(run), None, shared, device)
    first, others, loss = _steps(job)
    voxels = work.voxels(*job.stored)
    return Measured(
        parameters=count_parameters(job.state.model),
        steps_per_epoch=job.state.steps_per_epoch,
        total_steps=job.state.total_steps,
        loss=loss,
        first_step_seconds=first,
        step_seconds=float(np.median(others)),
        window_seconds=_window_seconds(job, work, few.fold.validation[0]),
        voxel_seconds=few.seconds / voxels,
        voxel_bytes=sum(_size(path) for path in few.prepared.values()) / voxels,
        checkpoint_bytes=_checkpoint_bytes(job),
        peak_bytes=peak_bytes(device),
    )


def _steps(job: Job) -> tuple[float, list[float], float]:
    """Seconds of the first step, of the others, and the last loss."""
    found: list[float] = []
    loss = math.nan
    began = last = time.perf_counter()
    state = replace(job.state, steps_per_epoch=MOST_STEPS + 1)  # no epoch ends here
    set_progress(job.loss.loss, HALF_WAY)
    with closing(job.loader.batches(0, MOST_STEPS)) as batches:
        for _ in train(state, batches, job.loss, job.loaded.config.training, job.device):
            loss = float(state.losses[-1])  # a step of a GPU is over when its loss is there
            found.append(time.perf_counter() - last)
            last = time.perf_counter()
            if len(found) >= FEWEST_STEPS and last - began > ENOUGH_SECONDS:
                break
    return found[0], found[1:], loss


def _window_seconds(job: Job, work: Work, case: str) -> float:
    """Seconds that a window of a scan takes to predict, from a piece that holds a few."""
    image = job.stored[case].image
    sides = (2 * work.plan.patch_size[0], *work.plan.patch_size[1:])
    piece = np.array(image[(slice(None), *map(slice, sides))])
    began = time.perf_counter()
    job.predictor.classes(piece)
    return (time.perf_counter() - began) / work.windows(piece.shape[1:])


def _checkpoint_bytes(job: Job) -> int:
    """The tensors of a checkpoint."""
    network = list(job.state.judged.state_dict().values())
    kept = [value for entries in job.state.optimiser.state.values() for value in entries.values()]
    own = [] if job.state.average is None else list(job.state.model.parameters())
    return sum(t.numel() * t.element_size() for t in (*network, *kept, *own) if isinstance(t, torch.Tensor))


def _size(path: Path) -> int:
    """Bytes of a file, or of all in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
