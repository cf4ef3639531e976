"""How far answer and truth overlap: the counts [B, C] from which every region loss is made.

The only place that sums over voxels for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from segtrain.losses.options import ReduceOver
from segtrain.losses.ranks import sum_over_ranks
from segtrain.losses.voxels import Voxels


@dataclass(frozen=True, eq=False)
class Counts:
    """Soft counts in voxels, [B, C] each ([1, C] pooled over the batch, [1, 1] pooled over the classes too)."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    size: Tensor
    """Voxels of the class in the truth; without gradient."""
    voxels: Tensor
    """Valid voxels; without gradient."""

    @property
    def tn(self) -> Tensor:
        """True negatives."""
        return self.voxels - self.tp - self.fp - self.fn

    def pooled(self, over: ReduceOver, class_weights: Tensor | None = None) -> Counts:
        """Summed over the batch of all ranks (`batch`), or over batch and classes, weighted (`flat`)."""
        fields = (self.tp, self.fp, self.fn, self.size, self.voxels)
        if over == "sample":
            return self
        if over == "flat" and class_weights is not None:
            fields = tuple(field * class_weights for field in fields)  # type: ignore[assignment]
        axes = (0,) if over == "batch" else (0, 1)
        return Counts(*sum_over_ranks(*(field.sum(axes, keepdim=True) for field in fields)))


def overlap(voxels: Voxels, *, first: int = 0) -> Counts:
    """Counts of the classes from `first` on: tp = sum p g, fp = sum p (1 - g), fn = sum (1 - p) g."""
    sums = voxels.sums(overlap=True)
    hits, answers, truth = (part[:, first:] for part in (sums.hits, sums.answers, sums.truth))
    return Counts(hits, answers - hits, truth - hits, truth, voxels.count.expand_as(truth))


def power_overlap(voxels: Voxels, power: float, *, first: int = 0) -> Counts:
    """Counts in which an error costs |p - g|^q: fn where the voxel belongs to the class (for its part g), else fp.

    For q = 2 and any truth fp + fn = sum p^2 + sum g^2 - 2 sum p g.
    """
    sums = voxels.sums(powers=(power,))
    hits, truth, missed, invented = (part[:, first:] for part in (sums.hits, sums.truth, *sums.missed, *sums.invented))
    return Counts(hits, invented, missed, truth, voxels.count.expand_as(truth))


def sizes(voxels: Voxels, *, first: int = 0) -> Counts:
    """Counts of which nothing but `size` and `voxels` is known, without a pass over the answers; the rest is 0."""
    if voxels.weight is None or voxels.weight_map is None:
        size = voxels.membership[:, first:].sum(-1, dtype=voxels.dtype)
    else:
        size = (voxels.degrees(first) * voxels.weight.unsqueeze(1)).sum(-1)
    nothing = torch.zeros_like(size)
    return Counts(nothing, nothing, nothing, size, voxels.count.expand_as(size))
