"""`segtrain compare-losses --dry-run`: its runs, hours and disk, found out with a few real steps of every loss.

As `fit --dry-run`, on the first fold: scans are read, a few cases prepared, and each loss trains on them for some
steps, with the threads that a run of the sweep would have. Nothing stays on the disk.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from segtrain.config.load import Loaded
from segtrain.core.errors import DivergedError
from segtrain.core.events import Event, Finished, Note
from segtrain.core.machine import free_disk_bytes, usable_cores
from segtrain.execution.executor import Processes
from segtrain.recipes.compare_losses import try_losses, try_meaning
from segtrain.recipes.dataset import processes_for
from segtrain.recipes.dry_run import TEMPORARY
from segtrain.recipes.fitting.decide import store_of
from segtrain.recipes.fitting.init_from import followed
from segtrain.recipes.fitting.sound import try_config, try_loss
from segtrain.recipes.fitting.trial import Measured, Work, looked_through, measure, prepare_few
from segtrain.recipes.room import KEPT_CHECKPOINTS
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.sweep.plan import SweepRun, config_of, runs_of, settings_of
from segtrain.recipes.sweep.rungs import rung_epochs
from segtrain.training.devices import find_device, with_threads
from segtrain.training.memory import size_bytes


@dataclass(frozen=True, eq=False)
class Tried:
    """What was measured for a whole sweep."""

    loaded: Loaded
    runs: Sequence[SweepRun]
    work: Work
    """Of the first fold."""
    losses: Mapping[str, Measured]
    """By label."""
    read_seconds: float


def dry_run_sweep(loaded: Loaded, run: Path, *, device: str = "auto", workers: int = 1) -> Generator[Event, None, None]:
    """Find out what `compare_losses` into the folder `run` would do; the last event is Finished, with what was found.

    `workers` runs are done at once, each with its share of the cores of this machine.
    Raises as a sweep, ResourceError where a step does not fit into memory among them. Writes nothing that stays.
    """
    loaded, target = followed(loaded), find_device(device)
    runs = runs_of(settings_of(loaded), run)
    try_losses(loaded, runs)
    yield from map(Note, try_meaning(loaded).cautions)
    with with_threads(Processes(workers).threads) if workers > 1 else nullcontext():
        tried = yield from _tried(loaded, runs, target)
        facts = _facts(tried, min(workers, len(runs)), target, run)
    yield Finished(run, {"schema_version": 1, **facts, "warnings": list(_warnings(facts))})


def _tried(loaded: Loaded, runs: Sequence[SweepRun], device: torch.device) -> Generator[Event, None, Tried]:
    first = {one.entry.label: one for one in reversed(runs)}
    sound = try_config(config_of(loaded, runs[0]), runs[0].fold)
    began = time.perf_counter()
    work = yield from looked_through(sound, device)
    read_seconds = time.perf_counter() - began
    found: dict[str, Measured] = {}
    with TemporaryDirectory(prefix=TEMPORARY, ignore_cleanup_errors=True) as place:
        few = yield from prepare_few(work, Path(place))
        waiting, later = deque(reversed(first.items())), list[str]()
        while waiting:
            label, one = waiting.popleft()
            config = config_of(loaded, one)
            answer, loss = try_loss(config)
            its = replace(sound, loaded=config, answer=answer, loss=loss)
            steps = next((other.steps_per_epoch for other in found.values()), None)
            its_run = Path(place) / ("first" if steps is None else "others") / label
            try:
                found[label] = yield from measure(its, work, few, device, its_run, steps)
            except DivergedError:  # while it was timed: as in a sweep, the next one is
                later.append(label)
                if steps is not None or len(later) == len(first):
                    raise
                waiting.append((label, one))
    return Tried(loaded, runs, work, {label: found[label] for label in reversed(first)}, read_seconds)


def _facts(tried: Tried, at_once: int, device: torch.device, run: Path) -> dict[str, Any]:
    settings, work = settings_of(tried.loaded), tried.work
    losses = {label: _of_loss(tried, measured) for label, measured in tried.losses.items()}
    any_one = next(iter(tried.losses.values()))
    processes = max(1, processes_for(work.cases, tried.loaded.config.data.workers))
    preparing = any_one.voxel_seconds * work.voxels() / processes
    alone = int(tried.loaded.config.training.budget_minutes is not None)  # the run that is timed
    running = sum(found["seconds"] for found in losses.values()) * rounds(len(tried.runs), at_once, device, alone)
    memory = [m.peak_bytes for m in tried.losses.values() if m.peak_bytes is not None]
    beside = -(-at_once // torch.cuda.device_count()) if device.type == "cuda" else at_once
    return {
        "losses": losses,
        "folds": settings.folds,
        "seeds": list(settings.seeds),
        "runs": len(tried.runs),
        "at_once": at_once,
        "rungs": list(rung_epochs(tried.loaded)),
        "cases": len(work.cases),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "total_steps": sum(found["steps"] for found in losses.values()),
        "seconds": {
            "reading": tried.read_seconds,
            "preparing": preparing,
            "running": running,
            "total": tried.read_seconds + preparing + running,
        },
        "memory": {"peak_bytes": max(memory) * beside if memory else None, "size_bytes": size_bytes(device)},
        "disk": _disk(tried, at_once, run),
    }


def rounds(runs: int, at_once: int, device: torch.device, alone: int) -> float:
    """The time of all runs as a share of what they take one after another: they are done in rounds, the last not full.

    So many are done `alone`, before the others. More at once than there are cores, or GPUs, slow each other down: that
    many are counted.
    """
    places = torch.cuda.device_count() if device.type == "cuda" else usable_cores()
    return (alone + -(-(runs - alone) // min(at_once, places))) / runs


def _of_loss(tried: Tried, measured: Measured) -> dict[str, Any]:
    """A loss in all of its runs. Every case is held out once for each seed."""
    work, settings = tried.work, settings_of(tried.loaded)
    training = work.loaded.config.training
    validations = -(-training.planned_epochs // training.validate_every) + 1  # and the best one at the end
    validations += len(rung_epochs(tried.loaded))
    windows = sum(map(work.windows, work.shapes.values()))
    runs = settings.folds * len(settings.seeds)
    seconds = measured.step_seconds * measured.total_steps * runs
    seconds += measured.window_seconds * windows * validations * len(settings.seeds)
    return {
        "runs": runs,
        "steps": measured.total_steps * runs,
        "step_seconds": measured.step_seconds,
        "seconds": seconds,
        "loss": measured.loss if math.isfinite(measured.loss) else None,
    }


def _disk(tried: Tried, at_once: int, run: Path) -> dict[str, Any]:
    """What would be written, and how much room there is for it; cases are prepared once for folds that agree."""
    store = store_of(tried.loaded, RunFolder(run))
    sizes = [measured.checkpoint_bytes for measured in tried.losses.values()]
    each = KEPT_CHECKPOINTS * len(tried.runs) // len(sizes)
    any_one = next(iter(tried.losses.values()))
    return {
        "prepared_bytes": round(any_one.voxel_bytes * tried.work.voxels()),
        "checkpoints_bytes": each * sum(sizes) + at_once * max(sizes),
        "store": str(store),
        "free_bytes": free_disk_bytes(store),
    }


def _warnings(facts: Mapping[str, Any]) -> Iterator[str]:
    """What will not go well."""
    memory, disk = facts["memory"], facts["disk"]
    if disk["free_bytes"] is not None and disk["prepared_bytes"] + disk["checkpoints_bytes"] > disk["free_bytes"]:
        yield f"the disk of {disk['store']} is too small; data.store or --run may name another one"
    if memory["peak_bytes"] and memory["size_bytes"] and memory["peak_bytes"] > 0.9 * memory["size_bytes"]:
        yield "memory is nearly full: take fewer --workers, a smaller model.patch_size, or training.accumulation"
    for label, found in facts["losses"].items():
        if found["loss"] is None:
            yield f"the loss {label} is not finite after a few steps: lower its training.learning_rate"
