"""Arrays that know where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid


@dataclass(frozen=True, eq=False)
class Volume:
    """An image: array (C, X, Y, Z) of any real dtype on a `Grid` (X, Y, Z)."""

    array: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or self.array.shape[1:] != self.grid.shape:
            raise ValueError(f"array {self.array.shape} does not fit a grid of {self.grid.shape}")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A mask: integer array (X, Y, Z) of label ids on a `Grid`."""

    array: NDArray[np.integer[Any]]
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ValueError(f"array {self.array.shape} does not fit a grid of {self.grid.shape}")
        if not np.issubdtype(self.array.dtype, np.integer):
            raise ValueError(f"a label map holds integers, not {self.array.dtype}")
