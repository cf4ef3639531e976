"""`segtrain fit --dry-run`: what a fit would do, and what it would take, found out with a few real steps.

All scans are read, as a fit does first. Three of the cases are prepared in a temporary folder, and the network that the
plan describes is trained on them for some steps and predicts a window: seconds, memory and bytes are measured there and
multiplied. Nothing stays on the disk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from segtrain.config.dump import flat
from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.events import Event, Finished
from segtrain.core.machine import free_disk_bytes
from segtrain.core.plan import Plan
from segtrain.data.prepare import work_grid
from segtrain.data.splits import Fold, Splits
from segtrain.inference.sliding_window import window_starts
from segtrain.losses.schedule import set_progress
from segtrain.models.unet import count_parameters
from segtrain.recipes.budget import HALF_WAY
from segtrain.recipes.dataset import fingerprint_all, prepare_all, processes_for
from segtrain.recipes.decide import plan_from, store_of
from segtrain.recipes.init_from import followed
from segtrain.recipes.job import Job, Shared, Sound, set_up, try_config
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.devices import find_device
from segtrain.training.loop import train
from segtrain.training.memory import free_bytes, peak_bytes, size_bytes

FEWEST_STEPS, MOST_STEPS, ENOUGH_SECONDS = 2, 6, 4.0
"""Steps that are run: the first is the start-up and is not timed; slow ones are not repeated for long."""

CHECKPOINTS = 3
"""`last`, `best`, and the one that is being written."""

PLANNED_BY: Mapping[str, tuple[str, str]] = {
    "dims": ("model.dims", "default"),
    "slice_axis": ("", "data: in 2D the axis with the widest spacing"),
    "spacing_mm": ("model.spacing_mm", "data: median spacing of the training cases"),
    "patch_size": ("model.patch_size", "data and device: the median scan, as much of it as the device trains on"),
    "batch_size": ("training.batch_size", "device"),
    "widths": ("model.widths", "device, as deep as the patch allows"),
    "strides": ("", "patch and spacing: axes are halved until voxels are cubes and the patch is small"),
    "kernels": ("", "spacing: thick slices are not convolved across"),
    "convolutions": ("model.convolutions", "device"),
    "decoder_convolutions": ("model.preset", "network: as in the encoder"),
    "intensity": ("data.modality", "data: ct where voxels reach below -500, z-score elsewhere"),
}
"""Part of the plan -> the key that fixes it, and where it comes from without that."""


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


def dry_run(
    loaded: Loaded, run: Path, *, fold: int | None = None, device: str = "auto"
) -> Generator[Event, None, None]:
    """Find out what `fit` into the folder `run` would do; the last event is Finished, with what was found.

    Raises as a fit, ResourceError where a step does not fit into memory among them. Writes nothing that stays.
    """
    loaded, target = followed(loaded), find_device(device)
    sound = try_config(loaded, fold)
    chosen = sound.splits.folds[0]
    began = time.perf_counter()
    data = loaded.config.data
    reading = fingerprint_all(sound.cases, data.channel_names, loaded.config.task, workers=data.workers)
    records = yield from reading
    read_seconds = time.perf_counter() - began
    plan = plan_from(loaded, records, chosen, target)
    cases = tuple(case for case in sound.cases if case.id in {*chosen.train, *chosen.validation})
    work = Work(loaded, plan, chosen, cases, {case.id: work_grid(records[case.id].grid, plan).shape for case in cases})
    with TemporaryDirectory(prefix="segtrain-dry-run-", ignore_cleanup_errors=True) as place:
        measured = yield from _measure(sound, work, target, Path(place))
    facts = {**_about(work, sound, target), **_estimates(work, measured, read_seconds, target, run)}
    yield Finished(run, {"schema_version": 1, **facts, "warnings": list(_warnings(facts))})


def _about(work: Work, sound: Sound, device: torch.device) -> dict[str, Any]:
    """What would be trained on what."""
    return {
        "cases": len(sound.cases),
        "patients": len({case.patient for case in sound.cases}),
        "train": len(work.fold.train),
        "validation": len(work.fold.validation),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "plan": work.plan.model_dump(mode="json"),
        "origins": origins(work.loaded, work.plan),
        "epochs": work.loaded.config.training.planned_epochs,
    }


def _estimates(work: Work, measured: Measured, read_seconds: float, device: torch.device, run: Path) -> dict[str, Any]:
    """What it would take."""
    seconds = {"reading": read_seconds, **_seconds(work, measured)}
    loss = measured.loss if math.isfinite(measured.loss) else None
    step = {"seconds": measured.step_seconds, "first_seconds": measured.first_step_seconds, "loss": loss}
    free, size = free_bytes(device), size_bytes(device)
    return {
        "parameters": measured.parameters,
        "steps_per_epoch": measured.steps_per_epoch,
        "total_steps": measured.total_steps,
        "step": step,
        "seconds": {**seconds, "total": sum(seconds.values())},
        "memory": {"peak_bytes": measured.peak_bytes, "free_bytes": free, "size_bytes": size},
        "disk": _disk(work, measured, run),
    }


def origins(loaded: Loaded, plan: Plan) -> dict[str, str]:
    """Part of the plan -> where it came from: the config, the data or the device."""
    fixed = {key: origin for key, value, origin in flat(loaded) if value not in (None, "auto")}
    found = {}
    for name in type(plan).model_fields:
        key, otherwise = PLANNED_BY.get(name, ("", "data and device"))
        origin = fixed.get(key, "default")
        if loaded.config.model.init_from is not None:
            otherwise = f"model.init_from{', data for other channels' if name == 'intensity' else ''}"
        found[name] = otherwise if origin == "default" else f"config: {key} ({origin})"
    return found


def few_of(work: Work) -> Fold:
    """The training case of median size, the largest one, and the validation case of median size."""

    def by_size(cases: tuple[str, ...]) -> list[str]:
        return sorted(cases, key=lambda case: (work.voxels(case), case))

    train, validation = by_size(work.fold.train), by_size(work.fold.validation)
    picked = dict.fromkeys((train[len(train) // 2], train[-1]))
    return Fold(train=tuple(picked), validation=(validation[len(validation) // 2],))


def _measure(sound: Sound, work: Work, device: torch.device, place: Path) -> Generator[Event, None, Measured]:
    """Prepare a few cases, train some steps on them, and predict a little."""
    config, few = work.loaded.config, few_of(work)
    cases = tuple(case for case in work.cases if case.id in {*few.train, *few.validation})
    splits = Splits((few,), sound.splits.seed)
    began = time.perf_counter()
    prepared = yield from prepare_all(cases, work.plan, config.task, place / "store", workers=0)
    seconds = time.perf_counter() - began
    steps = None if config.training.budget_minutes else config.training.steps_per_epoch
    shared = Shared(work.plan, splits, cases, prepared, steps)
    folder = RunFolder(place / "run")
    folder.path.mkdir()
    job = yield from set_up(replace(sound, cases=cases, splits=splits), folder, None, shared, device)
    first, others, loss = _steps(job)
    voxels = work.voxels(*job.stored)
    return Measured(
        parameters=count_parameters(job.state.model),
        steps_per_epoch=job.state.steps_per_epoch,
        total_steps=job.state.total_steps,
        loss=loss,
        first_step_seconds=first,
        step_seconds=float(np.median(others)),
        window_seconds=_window_seconds(job, work, few.validation[0]),
        voxel_seconds=seconds / voxels,
        voxel_bytes=sum(_size(path) for path in prepared.values()) / voxels,
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


def _seconds(work: Work, measured: Measured) -> dict[str, float]:
    """What the parts of a fit would take after all scans were read."""
    settings = work.loaded.config.training
    processes = max(1, processes_for(work.cases, work.loaded.config.data.workers))
    windows = sum(work.windows(work.shapes[case]) for case in work.fold.validation)
    validations = -(-settings.planned_epochs // settings.validate_every) + 1  # and the best one at the end
    return {
        "preparing": measured.voxel_seconds * work.voxels() / processes,
        "training": measured.step_seconds * measured.total_steps,
        "validating": measured.window_seconds * windows * validations,
    }


def _disk(work: Work, measured: Measured, run: Path) -> dict[str, Any]:
    """What would be written, and how much room there is for it."""
    store = store_of(work.loaded, RunFolder(run))
    return {
        "prepared_bytes": round(measured.voxel_bytes * work.voxels()),
        "checkpoints_bytes": CHECKPOINTS * measured.checkpoint_bytes,
        "store": str(store),
        "free_bytes": free_disk_bytes(store),
    }


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


def _warnings(facts: Mapping[str, Any]) -> Iterator[str]:
    """What will not go well."""
    memory, disk = facts["memory"], facts["disk"]
    needed = disk["prepared_bytes"] + disk["checkpoints_bytes"]
    if disk["free_bytes"] is not None and needed > disk["free_bytes"]:
        yield f"the disk of {disk['store']} is too small; data.store or --run may name another one"
    if memory["peak_bytes"] and memory["size_bytes"] and memory["peak_bytes"] > 0.9 * memory["size_bytes"]:
        yield "memory is nearly full: set a smaller model.patch_size, or training.accumulation"
    if facts["step"]["loss"] is None:
        yield "the loss of the last step is not finite: lower training.learning_rate, or look at the scans"
