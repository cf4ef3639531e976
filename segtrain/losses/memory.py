"""Memory that is about to be filled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NUMPY_TYPES = {torch.float32: np.float32, torch.float64: np.float64}


def unfilled(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of float32 or float64 whose values are to be written.

    On a CPU the memory is numpy's, which asks the system for huge pages where an array is large. torch asks for
    none, and a fresh volume then costs a fault for every 4 KiB: more than the mathematics that fills it.
    """
    if device.type != "cpu":
        return torch.empty(*shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(tuple(shape), NUMPY_TYPES[dtype]))
