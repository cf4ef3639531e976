"""`segtrain fit --dry-run`: what a fit would do, and what it would take, found out with a few real steps.

All scans are read, as a fit does first. Three of the cases are prepared in a temporary folder, and the network that the
plan describes is trained on them for some steps and predicts a window: seconds, memory and bytes are measured there and
multiplied. Nothing stays on the disk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from segtrain.config.dump import flat
from segtrain.config.load import Loaded
from segtrain.core.events import Event, Finished, Note
from segtrain.core.machine import free_disk_bytes
from segtrain.core.plan import Plan
from segtrain.recipes.dataset import processes_for
from segtrain.recipes.fitting.decide import store_of
from segtrain.recipes.fitting.init_from import followed
from segtrain.recipes.fitting.sound import Sound, cautions_in, try_config
from segtrain.recipes.fitting.trial import Measured, Work, looked_through, measure, prepare_few
from segtrain.recipes.room import CHECKPOINTS
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.devices import find_device
from segtrain.training.memory import free_bytes, size_bytes

TEMPORARY = "segtrain-dry-run-"
"""How folders begin that are gone afterwards."""

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


def dry_run(
    loaded: Loaded, run: Path, *, fold: int | None = None, device: str = "auto"
) -> Generator[Event, None, None]:
    """Find out what `fit` into the folder `run` would do; the last event is Finished, with what was found.

    Raises as a fit, ResourceError where a step does not fit into memory among them. Writes nothing that stays.
    """
    loaded, target = followed(loaded), find_device(device)
    sound = try_config(loaded, fold)
    yield from map(Note, cautions_in(loaded))
    began = time.perf_counter()
    work = yield from looked_through(sound, target)
    read_seconds = time.perf_counter() - began
    with TemporaryDirectory(prefix=TEMPORARY, ignore_cleanup_errors=True) as place:
        few = yield from prepare_few(work, Path(place))
        measured = yield from measure(sound, work, few, target, Path(place) / "run")
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
