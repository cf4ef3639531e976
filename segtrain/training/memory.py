"""How much memory training takes."""

from __future__ import annotations

import torch

from segtrain.core.machine import available_ram_bytes, peak_ram_bytes, ram_bytes


def peak_bytes(device: torch.device) -> int | None:
    """Most memory taken so far: of a CUDA device by torch, or else of the machine by this process.

    MPS does not tell a peak; what it holds now stands for it. None where nobody tells.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return peak_ram_bytes()


def size_bytes(device: torch.device) -> int | None:
    """Memory that the device has in all; MPS shares that of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return ram_bytes()


def free_bytes(device: torch.device) -> int | None:
    """Memory of the device that nobody has taken."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_ram_bytes()
