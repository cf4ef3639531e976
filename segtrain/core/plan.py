"""The plan: everything that was decided from the data before training starts, as a file one can read.

A plan travels with each checkpoint, so that prediction prepares a scan exactly as training did.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from segtrain.core.settings import Settings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Size3 = tuple[Count, Count, Count]

Preset = Literal["S", "M", "L"]
"""Size of a residual encoder."""


class ChannelIntensity(Settings):
    """How one channel is normalised."""

    channel: str
    rule: Literal["zscore", "ct"]
    """zscore: clip to the case's own percentiles, then its mean and deviation (MR has no units).
    ct: clip to the bounds below, then the mean and deviation below, all from the training set."""
    clip_percentiles: tuple[float, float] = (0.5, 99.5)
    lower: float | None = None
    upper: float | None = None
    mean: float | None = None
    std: float | None = None


class Plan(Settings):
    """Target grid, patches, network size and intensity rule. All triples are canonical axes (R, A, S)."""

    dims: Literal[2, 3]
    slice_axis: Literal[0, 1, 2] | None = None
    """2D only: the axis that is cut into slices."""
    spacing_mm: tuple[Positive, Positive, Positive] | tuple[Positive | None, Positive | None, Positive | None]
    """Target spacing; null keeps a scan's own spacing along that axis."""
    patch_size: Size3
    batch_size: Count
    widths: tuple[Count, ...]
    """Feature channels of each stage, full resolution first."""
    strides: tuple[Size3, ...]
    """Downsampling between one stage and the next: one fewer than `widths`."""
    kernels: tuple[Size3, ...]
    convolutions: tuple[Count, ...]
    """Convolutions of each stage in the encoder; residual blocks, where the network is made of them."""
    decoder_convolutions: tuple[Count, ...] | None = None
    """Convolutions of each stage on the way up, full resolution first; null: as many as in the encoder."""
    intensity: tuple[ChannelIntensity, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        stages = len(self.widths)
        if not (len(self.strides) == stages - 1 and len(self.kernels) == len(self.convolutions) == stages):
            raise ValueError("widths, kernels and convolutions need one entry a stage, strides one fewer")
        if len(self.decoder_units) != stages - 1:
            raise ValueError("decoder_convolutions needs one entry fewer than there are stages")
        if (self.dims == 2) != (self.slice_axis is not None):
            raise ValueError("slice_axis is for dims: 2, and needed there")
        flat = self.slice_axis
        if flat is not None and any(size[flat] != 1 for size in (self.patch_size, *self.strides, *self.kernels)):
            raise ValueError(f"dims: 2 cuts slices of one voxel: patch_size, strides and kernels are 1 on axis {flat}")
        for axis, (size, factor) in enumerate(zip(self.patch_size, self.downsampling, strict=True)):
            if size % factor:
                near = max(factor, size - size % factor)
                raise ValueError(
                    f"patch_size {size} on axis {axis} is not a multiple of {factor}, the product of the strides "
                    f"there; take {near} or {near + factor}, or fewer stages"
                )
        return self

    @property
    def downsampling(self) -> tuple[int, int, int]:
        """Product of the strides along each axis."""
        product = [1, 1, 1]
        for stride in self.strides:
            product = [p * s for p, s in zip(product, stride, strict=True)]
        return product[0], product[1], product[2]

    @property
    def decoder_units(self) -> tuple[int, ...]:
        """Convolutions of each stage on the way up, full resolution first."""
        return self.convolutions[:-1] if self.decoder_convolutions is None else self.decoder_convolutions

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels, in order."""
        return tuple(c.channel for c in self.intensity)

    @property
    def hash(self) -> str:
        """Changes whenever any decision changes."""
        # What was added later is left out where it decides nothing, so that older plans keep their hash.
        left_out = {"decoder_convolutions"} if self.decoder_convolutions is None else None
        return hashlib.sha256(self.model_dump_json(exclude=left_out).encode()).hexdigest()[:16]

    @property
    def preparation_hash(self) -> str:
        """Changes only with what a prepared case depends on: one store serves every patch and network size."""
        parts = self.model_dump_json(include={"spacing_mm", "intensity"})
        return hashlib.sha256(parts.encode()).hexdigest()[:16]
