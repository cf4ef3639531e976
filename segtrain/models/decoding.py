"""What every network of the U-Net family shares: the sizes that a plan sets, and the way back up to the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segtrain.core.plan import Plan
from segtrain.models.blocks import Head, Size, stage, upsampling


@dataclass(frozen=True)
class Sizes:
    """A plan without the axis that is cut into slices; one entry a stage, full resolution first."""

    dims: int
    strides: tuple[Size, ...]
    """Of the first stage: ones."""
    kernels: tuple[Size, ...]
    factors: tuple[int, ...]
    """What an image's axes must be multiples of."""

    @classmethod
    def of(cls, plan: Plan) -> Sizes:
        """Those of a plan."""
        keep = [axis for axis in range(3) if axis != plan.slice_axis]
        strides = [(1,) * len(keep), *(tuple(stride[axis] for axis in keep) for stride in plan.strides)]
        kernels = tuple(tuple(kernel[axis] for axis in keep) for kernel in plan.kernels)
        return cls(len(keep), tuple(strides), kernels, tuple(plan.downsampling[axis] for axis in keep))

    def require_fitting(self, images: Tensor) -> None:
        """ValueError where the strides do not divide the image (B, channels, *S)."""
        size = tuple(images.shape[2:])
        if len(size) != self.dims or any(n % f for n, f in zip(size, self.factors, strict=True)):
            raise ValueError(f"the network takes sizes that are multiples of {self.factors}, not {size}")


def decoder_stages(sizes: Sizes, plan: Plan) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Upsamplings and the stages behind them, full resolution first."""
    ones, widths = (1,) * sizes.dims, plan.widths
    levels = range(len(widths) - 1)
    up = nn.ModuleList(upsampling(widths[i + 1], widths[i], sizes.strides[i + 1]) for i in levels)
    decoder = nn.ModuleList(
        stage("plain", 2 * widths[i], widths[i], kernel=sizes.kernels[i], stride=ones, units=plan.decoder_units[i])
        for i in levels
    )
    return up, decoder


def heads(sizes: Sizes, plan: Plan, outputs: int, *, levels: int) -> nn.ModuleList:
    """A head a stage, finest first; the bottleneck answers only where it is all there is."""
    count = max(1, min(levels, len(plan.widths) - 1))
    return nn.ModuleList(Head(plan.widths[i], outputs, sizes.dims) for i in range(count))


def decode(
    skips: Sequence[Tensor], up: nn.ModuleList, decoder: nn.ModuleList, answers: nn.ModuleList, *, levels: int
) -> tuple[Tensor, ...]:
    """Features of the encoder, finest first -> logits of the `levels` finest stages, finest first."""
    x = skips[-1]
    logits: list[Tensor] = [answers[0](x)] if not len(up) else []
    for level in reversed(range(len(up))):
        x = decoder[level](torch.cat([up[level](x), skips[level]], dim=1))
        if level < levels:
            logits.insert(0, answers[level](x))
    return tuple(logits)
