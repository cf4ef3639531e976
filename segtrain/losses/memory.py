"""Memory that is about to be filled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LARGE = 1 << 22
"""Bytes from which on the system is asked for memory, and gets it back."""


def unfilled(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor whose values are to be written.

    Large memory on a CPU is numpy's, which asks the system for huge pages. torch asks for none, and a fresh volume then
    costs a fault for every 4 KiB: more than the mathematics that fills it.
    """
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size < LARGE:
        return torch.empty(*shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(size, np.uint8)).view(dtype).view(*shape)
