"""Logits and truth cut into runs of voxels that fit the cache, with memory that is used again for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK_VALUES = {"cpu": (1 << 18, 1 << 20), "other": (1 << 20, 1 << 24)}
"""The least and the most values of a chunk (C times voxels). On a CPU a few such arrays fit its largest cache, and the
time between operations does not count; on a GPU launches shall be few, but chunks small beside the logits."""

PARTS = 20
"""Between these limits a chunk is such a part of the logits: all that is as large as one is little beside them."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A run of voxels of one sample."""

    sample: int
    place: slice
    g: Tensor
    """(C, n) truth in the dtype of the sums."""
    p: Tensor
    """(C, n) memory for the probabilities."""
    weight: Tensor | None
    """(n,)"""

    def of(self, array: Tensor) -> Tensor:
        """This part of an array (B, C, N): a view."""
        return array[self.sample, :, self.place]

    def logits(self, x: Tensor) -> Tensor:
        """This part of x (B, C, N) ; 0 where a voxel is ignored, whatever is there."""
        here = self.of(x)
        return here if self.weight is None else here.masked_fill(self.weight == 0, 0)

    def total(self, values: Tensor) -> Tensor:
        """(C, n) -> (C,)."""
        return values.sum(1) if self.weight is None else values @ self.weight

    def by_class(self, values: Tensor) -> Tensor:
        """(n,) -> (C,): summed where a voxel belongs to the class."""
        return self.g @ (values if self.weight is None else values * self.weight)


def class_chunks(
    x: Tensor, classes: Tensor, weight: Tensor | None, kept: Tensor | None, buffers: int
) -> Iterator[tuple[Chunk, list[Tensor]]]:
    """Chunks of all samples, and buffers, of which the first is the one-hot truth and the others are free.

    `kept` (B, C, N) is memory for all probabilities; None: those of a chunk are overwritten by the next.
    """
    # Comparisons of equal floating types run four times as fast as those of integers that give booleans.
    labels = torch.arange(x.shape[1], device=x.device, dtype=sum_dtype(x)).unsqueeze(1)
    for sample, place, arrays in _cut(x, buffers + (kept is None)):
        torch.eq(classes[sample, place].to(labels.dtype), labels, out=arrays[0])
        yield _chunk(sample, place, arrays, weight, kept), arrays[:buffers]


def member_chunks(
    x: Tensor, truth: Tensor, weight: Tensor | None, kept: Tensor | None, buffers: int
) -> Iterator[tuple[Chunk, list[Tensor]]]:
    """The same, where the truth is membership (B, C, N)."""
    for sample, place, arrays in _cut(x, buffers + (kept is None)):
        g = arrays[0].copy_(truth[sample, :, place])
        if weight is not None:
            # A weight of 0 does not hide what is not a number.
            g.masked_fill_(weight[sample, place] == 0, 0)
        yield _chunk(sample, place, arrays, weight, kept), arrays[:buffers]


def _chunk(sample: int, place: slice, arrays: list[Tensor], weight: Tensor | None, kept: Tensor | None) -> Chunk:
    p = arrays[-1] if kept is None else kept[sample, :, place]
    return Chunk(sample, place, arrays[0], p, None if weight is None else weight[sample, place])


def _cut(x: Tensor, buffers: int) -> Iterator[tuple[int, slice, list[Tensor]]]:
    """Sample and place of each chunk, and chunk-sized memory that is used again for every one."""
    samples, outputs, voxels = x.shape
    least, most = CHUNK_VALUES.get(x.device.type, CHUNK_VALUES["other"])
    values = min(max(x.numel() // PARTS, least), most)
    length = min(voxels, max(1024, values // outputs))
    arrays = [x.new_empty(outputs, length, dtype=sum_dtype(x)) for _ in range(buffers)]
    for sample in range(samples):
        for start in range(0, voxels, length):
            place = slice(start, min(start + length, voxels))
            yield sample, place, [array[:, : place.stop - start] for array in arrays]


def sum_dtype(x: Tensor) -> torch.dtype:
    """At least float32."""
    return torch.promote_types(x.dtype, torch.float32)
