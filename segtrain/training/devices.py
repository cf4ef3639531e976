"""Where training runs, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from segtrain.core.errors import Problem, ResourceError
from segtrain.core.memory import memory_errors

Model = TypeVar("Model", bound=nn.Module)


def find_device(name: str) -> torch.device:
    """The device asked for; `auto` takes CUDA, then MPS, then the CPU. ResourceError where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    if not there.get(name, False):
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise ResourceError(Problem(f"there is no device {name!r} here", hint=f"--device auto, or one of: {found}"))
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """bf16 where it was asked for, or by itself on CUDA; float32 otherwise."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def on_device(model: Model, device: torch.device) -> Model:
    """The model on the device. ResourceError where it does not fit."""
    hint = "set smaller model.widths, end what else uses the device, or take --device cpu"
    with memory_errors("moving the network to the device", hint, where=str(device)):
        return model.to(device)
