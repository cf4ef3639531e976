"""Recolour: noise, blur, larger voxels, brightness, contrast and gamma of one patch, in nnU-Net's order.

In place, channel by channel: most channels draw nothing and few draw more than one thing, so that nothing would be
gained by gathering them, and a channel's numbers cannot depend on what lies beside it in the batch. Sums are taken in
float64, so that they do not depend on the number of threads either.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from segtrain.data.augment.draw import Change, ChannelChange, Noise
from segtrain.data.augment.separable import along_axes, blur_matrix, low_resolution_matrix

SMALLEST = 1e-7
"""Range and deviation of a patch that is taken for flat (nnU-Net)."""


def recolour(change: Change, image: Tensor, thick: int | None) -> None:
    """Change the values of an image (channels, *S) float32 in place; `thick` is the axis across thick slices."""
    if change.noise is not None:
        image.add_(noise_field(change.noise, image))
    for values, channel in zip(image, change.channels, strict=True):
        _recolour_channel(channel, values, thick)


def noise_field(noise: Noise, like: Tensor) -> Tensor:
    """The field of an image, the same on every device: it is made on the CPU."""
    generator = torch.Generator().manual_seed(noise.seed)
    return torch.randn(like.shape, generator=generator).mul_(noise.deviation).to(like.device)


def _recolour_channel(change: ChannelChange, values: Tensor, thick: int | None) -> None:
    if change.sigma_voxels is not None or change.zoom is not None:
        _smooth(change, values, thick)
    if change.brightness is not None:
        values.mul_(change.brightness)
    if change.contrast is not None:
        low, high = values.aminmax()
        mean, _ = _moments(values)
        values.sub_(mean).mul_(change.contrast).add_(mean).clamp_(low, high)
    if change.inverted_gamma is not None:
        _gamma(values.neg_(), change.inverted_gamma)
        values.neg_()
    if change.gamma is not None:
        _gamma(values, change.gamma)


def _smooth(change: ChannelChange, values: Tensor, thick: int | None) -> None:
    """Blur, then larger voxels, in one pass."""
    matrices = []
    for axis, size in enumerate(values.shape):
        matrix = np.eye(size) if change.sigma_voxels is None else blur_matrix(size, change.sigma_voxels[axis])
        if change.zoom is not None and axis != thick:
            matrix = low_resolution_matrix(size, change.zoom) @ matrix
        matrices.append(matrix)
    values.copy_(along_axes(values, matrices))


def _gamma(values: Tensor, exponent: float) -> None:
    """v -> ((v - low) / (high - low)) ** exponent, brought back to the mean and deviation it had."""
    low, high = values.aminmax()
    mean, deviation = _moments(values)
    values.sub_(low).div_((high - low).clamp_min(SMALLEST))
    values.log_().mul_(exponent).exp_()  # half the time of a power; 0 stays 0
    moved, spread = _moments(values)
    values.sub_(moved).mul_(deviation / spread.clamp_min(SMALLEST)).add_(mean)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, float64 scalars on the device."""
    mean = values.mean(dtype=torch.float64)
    square = values.square().mean(dtype=torch.float64)
    return mean, (square - mean.square()).clamp_min(0).sqrt()
