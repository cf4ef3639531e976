"""Prediction and reference of one structure, as metrics read them: costly views are made once, when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segtrain.core.thinning import thinned
from segtrain.metrics.components import Overlap, overlap_of
from segtrain.metrics.counts import Counts
from segtrain.metrics.surface import SurfaceDistances, surface_distances

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two masks of one structure, both of which hold a voxel."""

    label: str
    counts: Counts
    spacing_mm: tuple[float, ...]
    """Along the axes of the masks."""
    cut: Callable[[], tuple[Mask, Mask]]
    """Gives prediction and reference, in the box around both."""
    threads: int = 1

    @cached_property
    def masks(self) -> tuple[Mask, Mask]:
        """Prediction and reference, in the box around both: beyond it neither holds a voxel."""
        return self.cut()

    @cached_property
    def surfaces(self) -> SurfaceDistances:
        """Distances between the two surfaces."""
        return surface_distances(*self.masks, self.spacing_mm, threads=self.threads)

    @cached_property
    def components(self) -> Overlap:
        """Connected components of both, and what they share."""
        return overlap_of(*self.masks)

    @cached_property
    def skeletons(self) -> tuple[Mask, Mask]:
        """Centre lines of prediction and reference."""
        prediction, reference = self.masks
        return thinned(prediction), thinned(reference)
