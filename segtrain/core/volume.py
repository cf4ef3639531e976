"""Arrays that know where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid


@dataclass(frozen=True)
class DicomOrigin:
    """The DICOM series that an image was read from; "" for what it does not say."""

    series_uid: str
    frame_uid: str
    """Of its frame of reference: without it positions in two series cannot be compared."""
    instance_uids: tuple[str, ...] = ()
    """SOPInstanceUIDs of its files."""


@dataclass(frozen=True, eq=False)
class Volume:
    """An image: array (C, X, Y, Z) of any real dtype on a `Grid` (X, Y, Z)."""

    array: NDArray[Any]
    grid: Grid
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read, as: a spacing that is not in the file and was assumed."""
    origins: tuple[DicomOrigin, ...] = ()
    """Of every channel, where all were read from DICOM; empty otherwise."""

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or self.array.shape[1:] != self.grid.shape:
            raise ValueError(f"array {self.array.shape} does not fit a grid of {self.grid.shape}")


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A mask: integer array (X, Y, Z) of label ids on a `Grid`."""

    array: NDArray[np.integer[Any]]
    grid: Grid
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read."""

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise ValueError(f"array {self.array.shape} does not fit a grid of {self.grid.shape}")
        if not np.issubdtype(self.array.dtype, np.integer):
            raise ValueError(f"a label map holds integers, not {self.array.dtype}")

    def compact(self) -> NDArray[Any]:
        """The ids in the smallest of uint8, uint16 and int32 that holds them, as masks are stored. ValueError."""
        low, high = int(self.array.min()), int(self.array.max())
        for dtype in (np.uint8, np.uint16, np.int32):
            bounds = np.iinfo(dtype)
            if bounds.min <= low and high <= bounds.max:
                return self.array.astype(dtype)
        raise ValueError(f"label ids from {low} to {high} do not fit into 32 bits")
