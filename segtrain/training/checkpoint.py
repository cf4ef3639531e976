"""TrainingState <-> folder: tensors as safetensors, everything else as JSON. No pickle, ever.

A checkpoint is a folder of three files that belong together, so it is replaced as a whole: the new one is
written beside it and the two are renamed. Killed at any moment, `NAME`, `NAME.new` or `NAME.old` is complete;
`find` takes the first of them whose hashes are right.
"""

from __future__ import annotations

import hashlib
import shutil
from math import isfinite, nan
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from segtrain.core.errors import CheckpointError, Problem
from segtrain.core.files import disk_errors, read_json, sync_folder, write_bytes, write_json
from segtrain.core.memory import memory_errors
from segtrain.training.state import TrainingState

SCHEMA_VERSION = 1
WEIGHTS = "weights"
"""The parameter itself, beside what the optimiser keeps of it."""
MODEL, STATE, ABOUT = "model.safetensors", "state.safetensors", "checkpoint.json"


def save(folder: Path, state: TrainingState, about: dict[str, Any]) -> None:
    """Replace the checkpoint in `folder`; the previous one is kept until the new one is on the disk."""
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    with disk_errors(folder):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
    model = save_tensors({k: _alone(v) for k, v in state.judged.state_dict().items()})
    progress = save_tensors(_optimiser_tensors(state))
    write_bytes(new / MODEL, model)
    write_bytes(new / STATE, progress)
    counts = {"step": state.step, "total_steps": state.total_steps, "steps_per_epoch": state.steps_per_epoch}
    hashes = {MODEL: hashlib.sha256(model).hexdigest(), STATE: hashlib.sha256(progress).hexdigest()}
    running = {"losses": _as_json(state.losses), "norms": _as_json(state.norms), "seconds": state.seconds}
    found = {"schema_version": SCHEMA_VERSION, **about, **counts, "best": state.best, "history": state.history}
    write_json(new / ABOUT, {**found, **running, "sha256": hashes})
    with disk_errors(folder):
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def find(folder: Path) -> Path | None:
    """The whole checkpoint of that name, or None where none was ever finished.

    Raises CheckpointError where there is one and no copy of it is whole: weights without their JSON are one that
    lost it, save in `NAME.new`, which may have been broken off before it was written.
    """
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    problems = []
    for candidate in (folder, new, old):
        if (candidate / ABOUT).is_file() or (candidate != new and (candidate / MODEL).is_file()):
            problem = fault_of(candidate)
            if problem is None:
                return candidate
            problems.append(problem)
    if problems:
        raise CheckpointError(*problems)
    return None


def fault_of(folder: Path) -> Problem | None:
    """What is wrong with a checkpoint's files, or None."""
    hint = "take another checkpoint, or train again"
    try:
        about = read_json(folder / ABOUT)
        version = about["schema_version"]
        if version > SCHEMA_VERSION:
            why = f"its schema version is {version}, this segtrain knows {SCHEMA_VERSION}"
            return Problem("the checkpoint is newer than this segtrain", str(folder), why, "update segtrain")
        for name, expected in about["sha256"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
                return Problem(
                    "the checkpoint is damaged", str(folder / name), "its sha256 is not the recorded one", hint
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Problem("the checkpoint is damaged", str(folder), f"{type(error).__name__}: {error}", hint)
    return None


def read_about(folder: Path) -> dict[str, Any]:
    """The JSON of a checkpoint, after its hashes were checked. CheckpointError where something is wrong."""
    problem = fault_of(folder)
    if problem is not None:
        raise CheckpointError(problem)
    about: dict[str, Any] = read_json(folder / ABOUT)
    return about


def load_model(folder: Path, model: nn.Module) -> None:
    """Fill `model` with a checkpoint's weights. CheckpointError lists what does not fit."""
    tensors = _read(folder / MODEL)
    wanted = model.state_dict()
    hint = "it is of another architecture: take the checkpoint of this run, or train again"
    problems = [
        Problem(f"the network has no {name}", str(folder), hint=hint) for name in tensors.keys() - wanted.keys()
    ]
    problems += [
        Problem(f"the checkpoint has no {name}", str(folder), hint=hint) for name in wanted.keys() - tensors.keys()
    ]
    problems += [
        Problem(
            f"{name} is {tuple(tensors[name].shape)}, the network needs {tuple(wanted[name].shape)}",
            str(folder),
            hint=hint,
        )
        for name in tensors.keys() & wanted.keys()
        if tensors[name].shape != wanted[name].shape
    ]
    if problems:
        raise CheckpointError(*sorted(problems, key=lambda p: p.what)[:5])
    model.load_state_dict(tensors)


def load_state(folder: Path, state: TrainingState) -> None:
    """Fill model, its average, optimiser and progress of `state` from a checkpoint."""
    about = read_about(folder)
    load_model(folder, state.judged)
    tensors = _read(folder / STATE)
    for name, parameter in state.model.named_parameters():
        entries = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
        own = entries.pop(WEIGHTS, None)
        if own is not None:
            parameter.data.copy_(own)
        if entries:
            with memory_errors("loading the optimiser's state", "set smaller model.widths"):
                state.optimiser.state[parameter] = {key: _like(value, parameter) for key, value in entries.items()}
    if state.average is not None:
        for own, there in zip(state.model.buffers(), state.average.buffers(), strict=True):
            own.copy_(there)
    state.step, state.total_steps = about["step"], about["total_steps"]
    state.steps_per_epoch, state.best, state.history = about["steps_per_epoch"], about["best"], about["history"]
    device = next(state.model.parameters()).device
    state.losses = _from_json(about["losses"], device)
    state.norms = _from_json(about.get("norms", [0.0] * len(state.losses)), device)
    state.seconds = about.get("seconds", None if state.losses else 0.0)


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """On the parameter's device and in its memory layout: a fused optimiser needs both, of its step count too."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter).copy_(value)


def _alone(value: Tensor) -> Tensor:
    """On the CPU, and sharing no memory: two names of a network of one's own may stand for one tensor."""
    return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _optimiser_tensors(state: TrainingState) -> dict[str, Tensor]:
    """What the optimiser knows of each parameter, and the parameter itself where the network is an average."""
    return {
        f"{name}/{key}": _alone(value)
        for name, parameter in state.model.named_parameters()
        for key, value in (
            *state.optimiser.state.get(parameter, {}).items(),
            *([] if state.average is None else [(WEIGHTS, parameter)]),
        )
        if value is not None
    }


def _as_json(values: list[Tensor]) -> list[float | None]:
    """JSON has no number for what is not finite."""
    return [number if isfinite(number) else None for number in map(float, values)]


def _from_json(values: list[float | None], device: torch.device) -> list[Tensor]:
    return [torch.tensor(nan if value is None else value, device=device) for value in values]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        hint = "take another checkpoint, or train again"
        raise CheckpointError(Problem("the checkpoint cannot be read", str(path), str(error), hint)) from error
    return tensors
