"""Logits and truth cut into runs of voxels that fit the cache, with memory that is used again for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK_VALUES = {"cpu": 1 << 18, "other": 1 << 24}
"""Values of a chunk (C times voxels). On a CPU four such arrays fit the cache; on a GPU launches shall be few."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A run of voxels of one sample."""

    sample: int
    place: slice
    g: Tensor
    """(C, n) truth in the dtype of the sums."""
    weight: Tensor | None
    """(n,)"""

    def of(self, array: Tensor) -> Tensor:
        """This part of an array (B, C, N): a view."""
        return array[self.sample, :, self.place]

    def logits(self, x: Tensor) -> Tensor:
        """This part of x (B, C, N) in the dtype of sums; 0 where a voxel is ignored, whatever is there."""
        here = self.of(x).to(sum_dtype(x))
        return here if self.weight is None else here.masked_fill(self.weight == 0, 0)

    def total(self, values: Tensor) -> Tensor:
        """(C, n) -> (C,)."""
        return values.sum(1) if self.weight is None else values @ self.weight

    def by_class(self, values: Tensor) -> Tensor:
        """(n,) -> (C,): summed where a voxel belongs to the class."""
        return self.g @ (values if self.weight is None else values * self.weight)


class _Buffers:
    """Chunk-sized memory that is used again for every chunk."""

    def __init__(self, x: Tensor, count: int) -> None:
        _, outputs, voxels = x.shape
        values = CHUNK_VALUES.get(x.device.type, CHUNK_VALUES["other"])
        self.length = min(voxels, max(1024, values // outputs))
        self.arrays = [x.new_empty(outputs, self.length, dtype=sum_dtype(x)) for _ in range(count)]

    def cut(self, voxels: int) -> Iterator[tuple[slice, list[Tensor]]]:
        """Places of the chunks, and the buffers cut to each."""
        for start in range(0, voxels, self.length):
            place = slice(start, min(start + self.length, voxels))
            yield place, [array[:, : place.stop - place.start] for array in self.arrays]


def class_chunks(
    x: Tensor, classes: Tensor, weight: Tensor | None, buffers: int
) -> Iterator[tuple[Chunk, list[Tensor]]]:
    """Chunks of all samples; the first buffer is their one-hot truth, the others are free."""
    memory = _Buffers(x, buffers)
    # Comparisons of equal floating types run four times as fast as those of integers that give booleans.
    labels = torch.arange(x.shape[1], device=x.device, dtype=sum_dtype(x)).unsqueeze(1)
    for sample in range(len(x)):
        for place, arrays in memory.cut(x.shape[2]):
            torch.eq(classes[sample, place].to(labels.dtype), labels, out=arrays[0])
            yield Chunk(sample, place, arrays[0], None if weight is None else weight[sample, place]), arrays


def member_chunks(
    x: Tensor, truth: Tensor, weight: Tensor | None, buffers: int
) -> Iterator[tuple[Chunk, list[Tensor]]]:
    """Chunks of all samples; the first buffer is their membership, the others are free."""
    memory = _Buffers(x, buffers)
    for sample in range(len(x)):
        for place, arrays in memory.cut(x.shape[2]):
            arrays[0].copy_(truth[sample, :, place])
            yield Chunk(sample, place, arrays[0], None if weight is None else weight[sample, place]), arrays


def sum_dtype(x: Tensor) -> torch.dtype:
    """At least float32."""
    return torch.promote_types(x.dtype, torch.float32)
