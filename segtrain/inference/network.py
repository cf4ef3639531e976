"""What a network answers to a batch of windows, mirrored too where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrain.core.memory import is_memory_error
from segtrain.models.blocks import channels_last


@dataclass(frozen=True, eq=False)
class WindowNetwork:
    """A trained network that reads windows of a scan."""

    model: nn.Module
    device: torch.device
    slice_axis: int | None
    """2D: the axis along which windows are one voxel thick."""
    mirror_axes: tuple[int, ...]

    @torch.inference_mode()
    def answers(self, windows: Sequence[NDArray[np.float32]]) -> list[Tensor]:
        """Windows (channels, *S) -> logits (outputs, *S) of each, float32, on the device.

        Where its memory is too small for all at once, they are read one by one.
        """
        self.model.eval()
        try:
            return list(self._logits(torch.from_numpy(np.stack(windows))))
        except (MemoryError, RuntimeError) as error:
            if len(windows) == 1 or not is_memory_error(error):
                raise
        return [self._logits(torch.from_numpy(window[None]))[0] for window in windows]

    def _logits(self, images: Tensor) -> Tensor:
        """(B, channels, *S) -> (B, outputs, *S): the mean over all mirrored images, mirrored back."""
        flat = self.slice_axis
        if flat is not None:
            images = images.squeeze(2 + flat)
        images = images.to(self.device, memory_format=channels_last(images.ndim - 2))
        total: Tensor = self.model(images)[0].float()
        ways = self._mirrored()
        for axes in ways:
            total = total + self.model(images.flip(axes))[0].float().flip(axes)
        if ways:
            total = total / (len(ways) + 1)
        return total if flat is None else total.unsqueeze(2 + flat)

    def _mirrored(self) -> list[tuple[int, ...]]:
        """Every combination of axes of a batch that is mirrored; a slice has no third axis to mirror."""
        kept = [axis for axis in range(3) if axis != self.slice_axis]
        axes = [2 + kept.index(axis) for axis in sorted(set(self.mirror_axes)) if axis in kept]
        return [ways for count in range(1, len(axes) + 1) for ways in combinations(axes, count)]
