"""Building blocks of the U-Net in two and three dimensions.

Normalisation is `GroupNorm` with one channel a group. That is instance normalisation (Ulyanov et al. 2016),
but unlike `InstanceNorm3d` it keeps the channels-last layout in which convolutions on a CPU are fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

LEAK = 0.01
"""Slope of the leaky ReLU for negative values, as nnU-Net has it."""

Size = Sequence[int]
CONVOLUTION: dict[int, Callable[..., nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLING: dict[int, Callable[..., nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


def channels_last(dims: int) -> torch.memory_format:
    """The memory layout in which convolutions over `dims` axes are fastest."""
    return torch.channels_last_3d if dims == 3 else torch.channels_last


def convolution(inputs: int, outputs: int, kernel: Size, stride: Size) -> nn.Module:
    """A convolution without bias (a normalisation follows) that keeps the size at stride 1."""
    padding = tuple(k // 2 for k in kernel)
    return CONVOLUTION[len(kernel)](inputs, outputs, tuple(kernel), tuple(stride), padding, bias=False)


def normalisation(channels: int) -> nn.Module:
    """Instance normalisation with learned scale and shift."""
    return nn.GroupNorm(channels, channels)


class PlainUnit(nn.Sequential):
    """Convolution, normalisation, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        super().__init__(
            convolution(inputs, outputs, kernel, stride), normalisation(outputs), nn.LeakyReLU(LEAK, inplace=True)
        )


class ResidualUnit(nn.Module):
    """Two convolutions beside an identity (He et al. 2016); the side path pools and projects where it must."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        super().__init__()
        ones = (1,) * len(kernel)
        self.first = PlainUnit(inputs, outputs, kernel, stride)
        self.second = nn.Sequential(convolution(outputs, outputs, kernel, ones), normalisation(outputs))
        side: list[nn.Module] = []
        if any(s > 1 for s in stride):
            side.append(POOLING[len(kernel)](tuple(stride), tuple(stride)))
        if inputs != outputs:
            side += [convolution(inputs, outputs, ones, ones), normalisation(outputs)]
        self.side = nn.Sequential(*side)
        self.activation = nn.LeakyReLU(LEAK, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, *S) -> (B, outputs, *S / stride)."""
        result: Tensor = self.activation(self.second(self.first(x)) + self.side(x))
        return result


UNITS = {"plain": PlainUnit, "residual": ResidualUnit}
"""Block style -> unit."""


def stage(style: str, inputs: int, outputs: int, *, kernel: Size, stride: Size, units: int) -> nn.Sequential:
    """`units` units in a row; the first one strides."""
    ones = (1,) * len(kernel)
    unit = UNITS[style]
    first = unit(inputs, outputs, kernel, stride)
    return nn.Sequential(first, *(unit(outputs, outputs, kernel, ones) for _ in range(units - 1)))


def upsampling(inputs: int, outputs: int, stride: Size) -> nn.Module:
    """Transposed convolution with a kernel as large as its stride: no overlap, hence no checkerboard."""
    return TRANSPOSED[len(stride)](inputs, outputs, tuple(stride), tuple(stride), bias=False)


def head(inputs: int, outputs: int, dims: int) -> nn.Module:
    """A 1x1 convolution to the logits."""
    return CONVOLUTION[dims](inputs, outputs, 1)
