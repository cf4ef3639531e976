"""What torch can do here: how it was built, and whether a real training step runs on each device, with the same result.

A device that answers otherwise than the CPU is worse than one that fails: it trains, and nobody sees why it learns
nothing. So the loss after a step is compared.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from segtrain.core.batch import Batch, Maps
from segtrain.core.errors import Problem
from segtrain.core.machine import processor, said_by, usable_cores
from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.losses.registry import build_loss
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet
from segtrain.training.loop import train
from segtrain.training.memory import size_bytes
from segtrain.training.optimisers import make_optimiser
from segtrain.training.settings import TrainingSettings
from segtrain.training.state import TrainingState

STEPS = 2
"""The first is the start-up; the loss of the second has an update behind it."""

SIDE = 16
"""Voxels of the patch along each axis: little, for processors that emulate bf16."""

AGREEMENT = {"float32": 0.02, "bf16": 0.1}
"""Largest share by which the loss of the last step may differ from the CPU's in float32."""

TENSOR_CORES = (8, 0)
"""Compute capability from which on a GPU multiplies bf16 itself (Ampere)."""

Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Tried:
    """What came of some steps."""

    seconds: float | None = None
    """Of the last one."""
    loss: float = math.nan
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"ok": not self.error, "step_seconds": self.seconds, "error": self.error or None}


@dataclass(frozen=True)
class Device:
    """A device and what it did."""

    name: str
    model: str
    memory_bytes: int | None
    tried: dict[Precision, Tried]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        steps = {str(precision): tried.to_json() for precision, tried in self.tried.items()}
        return {"name": self.name, "model": self.model, "memory_bytes": self.memory_bytes, "steps": steps}


def devices() -> list[torch.device]:
    """All that torch sees; the CPU first."""
    found = [torch.device("cpu")]
    found += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return [*found, *([torch.device("mps")] if torch.backends.mps.is_available() else [])]


def probe(device: torch.device) -> Device:
    """Train a tiny network for some steps, in each precision."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    tried: dict[Precision, Tried] = {precision: try_steps(device, precision) for precision in ("float32", "bf16")}
    return Device(str(device), model, size_bytes(device), tried)


def try_steps(device: torch.device, precision: Precision) -> Tried:
    """Some training steps of a tiny U-Net, as a fit does them."""
    settings = TrainingSettings(precision=precision, epochs=1, steps_per_epoch=STEPS + 1)
    try:
        model = UNet(_plan(), ModelSettings(), outputs=2, seed=0).to(device)
        state = TrainingState(model, make_optimiser(model, settings), STEPS + 1, STEPS + 1)
        dice_ce = build_loss("dice_ce", "multiclass")
        last = seconds = 0.0
        loss = math.nan

        def cost(logits: tuple[Tensor, ...], classes: Tensor, maps: Maps) -> Tensor:
            del maps
            value: Tensor = dice_ce(logits[0], classes)
            return value

        for _ in train(state, [_batch()] * STEPS, cost, settings, device):
            loss, now = float(state.losses[-1]), time.perf_counter()
            seconds, last = now - last, now
    except Exception as error:  # whatever it is, a fit would end with it
        return Tried(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return Tried(seconds, loss, "" if math.isfinite(loss) else f"the loss is {loss}")


def _plan() -> Plan:
    return Plan(
        dims=3,
        spacing_mm=(1.0, 1.0, 1.0),
        patch_size=(SIDE, SIDE, SIDE),
        batch_size=2,
        widths=(8, 16),
        strides=((2, 2, 2),),
        kernels=((3, 3, 3), (3, 3, 3)),
        convolutions=(1, 1),
        intensity=(ChannelIntensity(channel="image", rule="zscore"),),
    )


def _batch() -> Batch:
    """A bright ball in noise, twice."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, SIDE)
    radius = (axis**2)[:, None, None] + (axis**2)[:, None] + axis**2
    ball = (radius < 0.4).expand(2, SIDE, SIDE, SIDE)
    noise = torch.randn((2, 1, SIDE, SIDE, SIDE), generator=generator)
    return Batch(ball.unsqueeze(1) + 0.3 * noise, ball.long(), ("ball", "ball"))


def torch_facts() -> dict[str, Any]:
    """How torch was built and what it uses here."""
    shown = torch.__config__.show()
    blas = re.search(r"BLAS_INFO=(\w+)", shown)
    distributed = torch.distributed
    backends = {
        "gloo": distributed.is_available() and distributed.is_gloo_available(),
        "nccl": distributed.is_available() and distributed.is_nccl_available(),
    }
    return {
        "version": torch.__version__,
        "blas": blas[1] if blas else "unknown",
        "onednn": torch.backends.mkldnn.is_available(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cuda_build": torch.version.cuda,
        "rocm_build": torch.version.hip,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "gpus_of_the_system": gpus(),
        "distributed": [name for name, there in backends.items() if there],
    }


def gpus() -> list[str]:
    """NVIDIA's GPUs with their driver, as the system tells them, whether or not torch sees them."""
    query = "--query-gpu=name,driver_version,memory.total"
    return said_by("nvidia-smi", query, "--format=csv,noheader").splitlines()


def device_faults(found: list[Device]) -> Iterator[Problem]:
    """Devices on which a fit would fail, or learn something else."""
    expected = found[0].tried["float32"].loss
    for device in found:
        for precision, tried in device.tried.items():
            if precision == "bf16" and not device.name.startswith("cuda"):
                continue  # nobody gets it there who does not ask for it
            hint = _way_out(device.name, precision)
            where = f"{device.name}, {precision}"
            if tried.error:
                yield Problem("a training step fails on this device", where, tried.error, hint)
            elif not math.isclose(tried.loss, expected, rel_tol=AGREEMENT[precision]):
                why = f"the loss after {STEPS} steps is {tried.loss:.4g}, on the CPU {expected:.4g}"
                yield Problem("this device gives other results than the CPU", where, why, hint)


def _way_out(device: str, precision: Precision) -> str:
    if device == "cpu":
        return "install torch anew, in a fresh environment"
    return "training.precision=float32, or --device cpu" if precision == "bf16" else "--device cpu"


def torch_warnings(facts: dict[str, Any]) -> Iterator[Problem]:
    """Builds and settings that work, and are known to be slow or not what was meant."""
    there = bool(torch.cuda.is_available())
    if facts["gpus_of_the_system"] and not there:
        built = facts["cuda_build"]
        why = f"it was built for CUDA {built}" if built else "it is a build for the CPU"
        hint = "update the driver, or install the build of torch for it" if built else "install a build with CUDA"
        yield Problem("there is a GPU that torch does not use", ", ".join(facts["gpus_of_the_system"]), why, hint)
    for index in range(torch.cuda.device_count() if there else 0):
        if torch.cuda.get_device_capability(index) < TENSOR_CORES and not facts["rocm_build"]:
            hint = "training.precision=float32 is faster here"
            yield Problem("this GPU emulates bf16", torch.cuda.get_device_name(index), hint=hint)
    if torch.backends.mps.is_built() and not torch.backends.mps.is_available():
        yield Problem("torch cannot use this Mac's GPU", why="macOS is older than 14, or the machine has no such GPU")
    if facts["threads"] > usable_cores():
        why = f"{facts['threads']} threads share {usable_cores()} cores, and wait for each other"
        yield Problem("torch starts too many threads", why=why, hint=f"export OMP_NUM_THREADS={usable_cores()}")
    if facts["instructions"] in ("DEFAULT", "NO AVX"):
        yield Problem("torch uses no vector instructions of this processor", why="training will be slow")
