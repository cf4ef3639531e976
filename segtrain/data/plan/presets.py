"""Residual encoders in three sizes, after nnU-Net's (Isensee et al. 2024, arXiv 2404.09556, and its planners).

nnU-Net's M and L have the same widths and blocks; they differ in the memory of the card that patch and batch are made
for, which it estimates by the number of values in all feature maps of a patch. S is ours: M for half of the memory,
with fewer blocks. Two CPU cores must learn in minutes: there all have narrow stages, and what differs is width, blocks
and patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from segtrain.core.plan import Preset

REFERENCE_BATCH = {2: 12, 3: 2}
"""Patches that fit the card together where one has as many values as its size allows (nnU-Net)."""
LARGEST_SHARE = 0.05
"""Of all voxels of the training scans, in a batch. nnU-Net's first planner has this; its residual ones take batches of
hundreds of patches where scans are small."""
SMALLEST_BATCH = 2


@dataclass(frozen=True)
class ResidualPreset:
    """How deep a residual encoder is and what it may take."""

    blocks: tuple[int, ...]
    """Of each stage, full resolution first; further stages have as many as the last."""
    feature_values: dict[int, int]
    """GPU: dims -> values that the feature maps of a patch may have in all."""
    cpu_first_width: int
    cpu_patch_share: float
    """CPU: of the voxels that a patch of the plain network may have."""

    def blocks_of(self, stages: int) -> tuple[int, ...]:
        """For so many stages."""
        return (*self.blocks, *[self.blocks[-1]] * stages)[:stages]

    def batch_size(self, values: int, dims: int, scans_in_patches: float) -> int:
        """As many patches as the card holds, and no more than a small share of all `scans_in_patches`."""
        fitting = round(self.feature_values[dims] / values * REFERENCE_BATCH[dims])
        return max(SMALLEST_BATCH, min(fitting, round(LARGEST_SHARE * scans_in_patches)))


PRESETS: dict[Preset, ResidualPreset] = {
    "S": ResidualPreset((1, 2, 2, 3, 3, 3), {2: 67_500_000, 3: 340_000_000}, 8, 0.67),
    "M": ResidualPreset((1, 3, 4, 6, 6, 6), {2: 135_000_000, 3: 680_000_000}, 8, 1.0),
    "L": ResidualPreset((1, 3, 4, 6, 6, 6), {2: 380_000_000, 3: 2_100_000_000}, 12, 1.0),
}
"""S: 4 GB. M: 8 GB (RTX 2080 Ti). L: 24 GB (RTX 4090)."""


def feature_values(
    widths: Sequence[int], blocks: Sequence[int], strides: Sequence[Sequence[int]], patch: Sequence[int]
) -> int:
    """Values that all convolutions of a residual U-Net write for one patch, without its heads, as nnU-Net counts them.

    Stem, two a block, one where a block strides and projects, a transposed and a plain one a stage on the way up.
    """
    size = list(patch)
    total = widths[0] * prod(size)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        if stage:
            size = [n // s for n, s in zip(size, strides[stage - 1], strict=True)]
        projection, upwards = int(stage > 0), 2 * int(stage < len(widths) - 1)
        total += width * prod(size) * (2 * count + projection + upwards)
    return total
