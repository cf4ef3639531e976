"""Where logits are blended: on the device of the network where they fit, or else in the machine's memory.

The precision follows from the kind of device alone, so that no number depends on how much memory was free: float32 for
a network on the CPU, half precision for one on a GPU, as nnU-Net has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from segtrain.core.machine import available_ram_bytes
from segtrain.inference.blocks import Blocks, Extent, divided, undivided
from segtrain.inference.planes import CPU, Store

DEVICE_SHARE = 0.6
"""Of a device's free memory, for logits; the network's own features need the rest."""
MIB = 2**20
HOST_SHARE = 0.7
"""Of the machine's free memory."""


@dataclass(frozen=True)
class Placement:
    """Where and in how many blocks a scan is predicted."""

    store: Store
    blocks: Blocks
    note: str | None
    """A sentence, where it is not all at once beside the network."""


def blended_dtype(device: torch.device) -> torch.dtype:
    """Precision of blended logits."""
    return torch.float32 if device.type == "cpu" else torch.float16


def placed(extents: Sequence[Extent], device: torch.device, memory_mib: int) -> Placement:
    """The first that fits: the device, the machine's memory, and that in several blocks.

    ResourceError where the smallest blocks take more than `memory_mib`, or than the machine has.
    """
    free = available_ram_bytes()
    budget = memory_mib * MIB if free is None else min(memory_mib * MIB, int(HOST_SHARE * free))
    return decided(extents, device, free_device_bytes(device), budget)


def decided(extents: Sequence[Extent], device: torch.device, free: int | None, budget: int) -> Placement:
    """As `placed`, for a device with so many bytes free (None: not known, or it has no memory of its own)."""
    dtype = blended_dtype(device)
    whole = undivided(extents)
    beside = max(extent.answer_bytes for extent in extents)
    if device.type != "cpu" and free is not None and whole.open_bytes + beside <= DEVICE_SHARE * free:
        return Placement(Store(device, dtype), whole, None)
    blocks = divided(extents, budget)
    told = []
    if device.type != "cpu":
        told.append(f"in the machine's memory, as {device} has too little for its logits")
    if len(blocks.boxes) > 1:
        told.append(f"in {len(blocks.boxes)} blocks, as inference.memory_mib or free memory is too little for one")
    return Placement(Store(CPU, dtype), blocks, " and ".join(told) or None)


def free_device_bytes(device: torch.device) -> int | None:
    """Memory of a device that nobody has taken, and what torch keeps of it in store; None for the CPU."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None
