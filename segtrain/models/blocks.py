"""Building blocks of the U-Net in two and three dimensions.

Normalisation is `group_norm` with one channel a group. That is instance normalisation (Ulyanov et al. 2016),
but unlike `instance_norm` it keeps the channels-last layout in which convolutions on a CPU are fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segtrain.models import cpu_operations as on_cpu

LEAK = 0.01
"""Slope of the leaky ReLU for negative values, as nnU-Net has it."""

EPSILON = 1e-5
"""Added to a variance before its root is taken."""

Size = Sequence[int]
CONVOLVED: dict[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLING: dict[int, Callable[..., nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


def channels_last(dims: int) -> torch.memory_format:
    """The memory layout in which convolutions over `dims` axes are fastest."""
    return torch.channels_last_3d if dims == 3 else torch.channels_last


class Convolution(nn.Module):
    """A convolution without bias (a normalisation follows) that keeps the size at stride 1."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *kernel))
        self.stride = tuple(stride)
        self.padding = tuple(k // 2 for k in kernel)

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, *S) -> (B, outputs, *S / stride)."""
        if on_cpu.applies(images, self.weight):
            return on_cpu.convolution(images, self.weight, self.stride, self.padding)
        return CONVOLVED[len(self.stride)](images, self.weight, None, self.stride, self.padding)


class Normalisation(nn.Module):
    """Instance normalisation with learned scale and shift, then a leaky ReLU of that slope; slope 1 leaves it out."""

    def __init__(self, channels: int, *, slope: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.slope = slope

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *S), likewise."""
        if on_cpu.applies(images, self.weight):
            return on_cpu.normalisation(images, self.weight, self.bias, eps=EPSILON, slope=self.slope)
        normal = F.group_norm(images, len(self.weight), self.weight, self.bias, EPSILON)
        return normal if self.slope == 1 else F.leaky_relu(normal, self.slope, inplace=True)


class Head(nn.Module):
    """A 1x1 convolution to the logits."""

    def __init__(self, inputs: int, outputs: int, dims: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *(1,) * dims))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, *S) -> (B, outputs, *S)."""
        if on_cpu.applies(images, self.weight):
            return on_cpu.pointwise(images, self.weight, self.bias)
        return CONVOLVED[self.weight.ndim - 2](images, self.weight, self.bias)


class PlainUnit(nn.Sequential):
    """Convolution, normalisation, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        super().__init__(Convolution(inputs, outputs, kernel, stride), Normalisation(outputs, slope=LEAK))


class ResidualUnit(nn.Module):
    """Two convolutions beside an identity (He et al. 2016); the side path pools and projects where it must."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        super().__init__()
        ones = (1,) * len(kernel)
        self.first = PlainUnit(inputs, outputs, kernel, stride)
        self.second = nn.Sequential(Convolution(outputs, outputs, kernel, ones), Normalisation(outputs))
        side: list[nn.Module] = []
        if any(s > 1 for s in stride):
            side.append(POOLING[len(kernel)](tuple(stride), tuple(stride)))
        if inputs != outputs:
            side += [Convolution(inputs, outputs, ones, ones), Normalisation(outputs)]
        self.side = nn.Sequential(*side)
        self.activation = nn.LeakyReLU(LEAK, inplace=True)

    @property
    def last_scale(self) -> Tensor:
        """Scale of the normalisation before the sum: at 0 the unit is its side path."""
        return self.second.get_parameter("1.weight")

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
