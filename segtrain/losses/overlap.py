"""How far answer and truth overlap: the counts [B, C] from which every region loss is made.

The only place that sums over voxels for them.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def overlap(voxels: Voxels, *, first: int = 0, error_power: float = 1.0) -> Counts:
    """Counts of the classes from `first` on.

    With `error_power` q, an error e costs e^q: fp = sum (p (1 - g))^q, fn = sum ((1 - p) g)^q.
    """
    if error_power != 1:
        return _overlap_of_powers(voxels, first, error_power)
    sums = voxels.sums(overlap=True)
    hits, answers, truth = (part[:, first:] for part in (sums.hits, sums.answers, sums.truth))
    return Counts(hits, answers - hits, truth - hits, truth, voxels.count.expand_as(truth))


def _overlap_of_powers(voxels: Voxels, first: int, power: float) -> Counts:
    p = voxels.probabilities[:, first:]
    members = voxels.degrees(first)
    weight = 1 if voxels.weight is None else voxels.weight.unsqueeze(1)
    tp = (p * members * weight).sum(-1)
    fp = ((p * (1 - members)) ** power * weight).sum(-1)
    fn = (((1 - p) * members) ** power * weight).sum(-1)
    size = (members * weight).sum(-1)
    return Counts(tp, fp, fn, size, voxels.count.expand_as(size))
