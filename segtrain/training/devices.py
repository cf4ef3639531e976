"""Where training runs, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TypeVar

import torch
from torch import nn

from segtrain.core.errors import Problem, ResourceError
from segtrain.core.memory import memory_errors

Model = TypeVar("Model", bound=nn.Module)


def find_device(name: str, local_rank: int | None = None) -> torch.device:
    """The device asked for; `auto` takes CUDA, then MPS, then the CPU. ResourceError where it is not there.

    One of several processes of a host, `local_rank`, takes the GPU of that number; an MPS device serves one process.
    """
    several = local_rank is not None
    there = {"cuda": torch.cuda.is_available(), "mps": not several and torch.backends.mps.is_available(), "cpu": True}
    kind = next(kind for kind, found in there.items() if found) if name == "auto" else name
    if not there.get(kind, False):
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        where = "for several processes" if several else "here"
        raise ResourceError(Problem(f"there is no device {name!r} {where}", hint=f"--device auto, or one of: {found}"))
    if kind != "cuda" or local_rank is None:
        return torch.device(kind)
    if local_rank >= torch.cuda.device_count():
        what = f"process {local_rank} of this host finds {torch.cuda.device_count()} GPUs"
        hint = "start as many processes as there are GPUs: torchrun --nproc-per-node=gpu"
        raise ResourceError(Problem(what, hint=hint))
    return torch.device(kind, local_rank)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """bf16 where it was asked for, or by itself on CUDA that computes in it (Ampere and later); float32 otherwise."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda" and _has_bf16()):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@cache
def _has_bf16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


@contextmanager
def with_threads(number: int) -> Iterator[None]:
    """So many threads of the CPU for this process, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_device(model: Model, device: torch.device) -> Model:
    """The model on the device. ResourceError where it does not fit."""
    hint = "set smaller model.widths, end what else uses the device, or take --device cpu"
    with memory_errors("moving the network to the device", hint, where=str(device)):
        return model.to(device)
