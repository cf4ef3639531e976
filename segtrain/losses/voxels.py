"""What the caller passed, checked and brought to one form that every loss reads.

Axes: B samples, C outputs, N voxels of a sample (the spatial axes, flattened). Whatever several parts of a loss need
(log-probabilities, cross-entropy) is computed once, on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from segtrain.losses.asked import NOTHING, Asked
from segtrain.losses.checks import (
    Mode,
    check_fit,
    check_logits,
    check_values,
    check_weight_map,
    checked_maps,
    checked_spacing,
    per_voxel,
    resolve_mode,
)
from segtrain.losses.entropy import EntropyCost
from segtrain.losses.one_pass import Sums, sigmoid_sums, softmax_sums

__all__ = ["Extras", "Mode", "Reading", "Voxels", "read", "resolve_mode"]


@dataclass(frozen=True, eq=False)
class Voxels:
    """Logits and truth of one call."""

    mode: Mode
    raw: Tensor
    """(B, C, N) logits in the type they came in."""
    given: Tensor
    """The target as it came: class indices (B, N), or membership (B, C, N), which exclusive classes have too where they
    share voxels. Anything where a voxel is ignored."""
    valid: Tensor | None
    """(B, N) bool; None: every voxel counts."""
    space: tuple[int, ...]
    """The spatial axes; N is their product."""
    spacing_mm: tuple[float, ...]
    """Size of a voxel along each."""
    weight_map: Tensor | None = None
    """(B, N) >= 0: how much each voxel counts; None: all alike."""
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    """Name -> (B, C or 1, *S): maps of the truth that a loss needs and that the caller already has."""
    asked: Asked = NOTHING
    """Sums that will be asked for; they ride in the pass that the first of them starts."""

    @property
    def outputs(self) -> int:
        """C."""
        return self.raw.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """In which sums are made: at least float32."""
        return torch.promote_types(self.raw.dtype, torch.float32)

    @cached_property
    def logits(self) -> Tensor:
        """(B, C, N) in the dtype of sums; 0 where ignored, so that nothing flows into such a voxel."""
        x = self.raw.to(self.dtype)
        return x if self.valid is None else x.masked_fill(~self.valid.unsqueeze(1), 0)

    @cached_property
    def truth(self) -> Tensor:
        """multiclass: class indices (B, N), int64, 0 where ignored; else membership (B, C, N), bool or floating."""
        if self.mode == "multiclass" and not self.is_soft:
            classes = self.given.to(torch.int64)
            return classes if self.valid is None else classes.masked_fill(~self.valid, 0)
        members = self.given.to(self.dtype) if self.given.is_floating_point() else self.given
        if self.valid is not None:
            members = members.masked_fill(~self.valid.unsqueeze(1), 0)
        return members if members.is_floating_point() else members.to(torch.bool)

    @property
    def is_soft(self) -> bool:
        """Whether a voxel may belong to a class in part."""
        return self.given.is_floating_point()

    @cached_property
    def weight(self) -> Tensor | None:
        """(B, N) how much a voxel counts, 0 where ignored, in the dtype of sums; None: all alike."""
        if self.weight_map is None:
            return None if self.valid is None else self.valid.to(self.dtype)
        weight = self.weight_map.to(self.dtype)
        return weight if self.valid is None else weight.masked_fill(~self.valid, 0)

    @property
    def count(self) -> Tensor:
        """Valid voxels of each sample (B, 1), times their weight, in the dtype of the sums."""
        if self.weight is None:
            samples, _, voxels = self.raw.shape
            return self.raw.new_full((samples, 1), float(voxels), dtype=self.dtype)
        return self.weight.sum(1, keepdim=True)

    def in_space(self, values: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, *S)."""
        return values.reshape(*values.shape[:2], *self.space)

    @cached_property
    def _passes(self) -> dict[Asked, Sums]:
        """Passes that were made."""
        return {}

    def sums(self, *costs: EntropyCost, overlap: bool = False, powers: tuple[float, ...] = ()) -> Sums:
        """Counts and sums of costs and powers, in the order given, from one pass over all that is asked for."""
        wanted = self.asked | Asked(costs, overlap, powers)
        if wanted not in self._passes:
            make = softmax_sums if self.mode == "multiclass" else sigmoid_sums
            self._passes[wanted] = make(self.raw, self.given, self.weight, wanted)
        places = [wanted.costs.index(cost) for cost in costs]
        return self._passes[wanted].of(places, [wanted.powers.index(power) for power in powers])

    @cached_property
    def log_probabilities(self) -> Tensor:
        """(B, C, N) log of softmax or sigmoid, exact where the probability itself would round to 0."""
        return F.log_softmax(self.logits, 1) if self.mode == "multiclass" else F.logsigmoid(self.logits)

    @cached_property
    def probabilities(self) -> Tensor:
        """(B, C, N). All outputs: who drops the background drops it after the softmax."""
        return self.logits.softmax(1) if self.mode == "multiclass" else self.logits.sigmoid()

    @cached_property
    def membership(self) -> Tensor:
        """(B, C, N), bool or float: how far a voxel belongs to a class. False where ignored."""
        if self.mode != "multiclass" or self.is_soft:
            return self.truth
        # Comparisons of bytes that give bytes run ten times as fast as those of int64 that give booleans.
        kind = torch.uint8 if self.outputs < torch.iinfo(torch.uint8).max else torch.int64
        classes = torch.arange(self.outputs, device=self.truth.device, dtype=kind).unsqueeze(1)
        labels = self.truth.to(kind)
        if self.valid is not None:
            labels = labels.masked_fill(~self.valid, self.outputs)
        members = torch.empty(self.raw.shape, dtype=torch.uint8, device=labels.device)
        return torch.eq(labels.unsqueeze(1), classes, out=members).view(torch.bool)

    def degrees(self, first: int = 0) -> Tensor:
        """`membership` of the classes from `first` on, in the dtype of sums."""
        members = self.membership[:, first:]
        # Bytes become floating numbers twenty times as fast as booleans do.
        return (members.view(torch.uint8) if members.dtype == torch.bool else members).to(self.dtype)

    def first(self, include_background: bool) -> int:
        """The first class that is scored: exclusive classes may have a background that is not."""
        return 1 if self.mode == "multiclass" and not include_background else 0

    def answer_and_truth(self, first: int) -> tuple[Tensor, Tensor]:
        """p and g (B, C, N) of the classes from `first` on."""
        return self.probabilities[:, first:], self.degrees(first)

    @cached_property
    def cross_entropy(self) -> Tensor:
        """-log p of the truth: (B, N) for exclusive classes, else (B, C, N), one for each sigmoid."""
        if self.mode == "multiclass":
            return F.nll_loss(self.log_probabilities, self.truth, reduction="none")
        return F.binary_cross_entropy_with_logits(self.logits, self.truth.to(self.logits.dtype), reduction="none")

    def weights(self, class_weights: Tensor | None) -> Tensor | None:
        """Weight of each value of a per-voxel map: 0 where ignored, else that of its class. None: all 1."""
        flat = self.mode == "multiclass"
        weight = self.weight if flat or self.weight is None else self.weight.unsqueeze(1)
        if class_weights is None:
            return weight
        own = class_weights[self.truth] if flat else class_weights.view(1, -1, 1)
        return own if weight is None else own * weight

    def sample_weights(self, class_weights: Tensor | None) -> Tensor | None:
        """Weight of each sample and class: 0 where no voxel of a sample counts, else that of the class. None: all 1.

        [C], [B, 1] or [B, C]: it broadcasts to a cost of each sample and class.
        """
        if self.weight is None:
            return class_weights
        counted = (self.count > 0).to(self.dtype)
        return counted if class_weights is None else counted * class_weights


@dataclass(frozen=True, eq=False)
class Extras:
    """What a call may bring beside logits, target and mask."""

    weight_map: Tensor | None = None
    """(B, *S) or (B, 1, *S)."""
    spacing_mm: tuple[float, ...] | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """How a loss reads its arguments."""

    mode: Mode | Literal["auto"] = "auto"
    ignore_label: int | None = None
    asked: Asked = NOTHING
    shared: bool = False
    """Whether exclusive classes may share a voxel: a floating target (B, C, *S) whose channels sum to 1."""


def read(logits: Tensor, target: Tensor, mask: Tensor | None, how: Reading, extras: Extras | None = None) -> Voxels:
    """The arguments of a loss as `Voxels`. ValueError, with all shapes, where they do not fit together."""
    extras = extras or Extras()
    check_logits(logits, target)
    found = resolve_mode(logits, target) if how.mode == "auto" else how.mode
    check_fit(found, logits, target, shared=how.shared)
    valid = _valid_voxels(logits, target, mask, how.ignore_label)
    channels = found != "multiclass" or (target.is_floating_point() and target.ndim == logits.ndim)
    given = target.reshape(logits.shape).flatten(2) if channels else target.reshape(len(logits), -1)
    check_values(found, given, valid, logits.shape[1])
    weight_map = extras.weight_map
    if weight_map is not None:
        weight_map = per_voxel("weight_map", weight_map, logits, target)
        check_weight_map(weight_map, valid)
    return Voxels(
        found,
        logits.flatten(2),
        given,
        valid,
        space=tuple(logits.shape[2:]),
        spacing_mm=checked_spacing(extras.spacing_mm, logits),
        weight_map=weight_map,
        maps=checked_maps(extras.maps, logits),
        asked=how.asked,
    )


def _valid_voxels(logits: Tensor, target: Tensor, mask: Tensor | None, ignore_label: int | None) -> Tensor | None:
    """(B, N) bool, or None where every voxel counts."""
    samples = len(logits)
    valid = None if mask is None else per_voxel("mask", mask, logits, target).to(torch.bool)
    if ignore_label is not None and target.dtype != torch.bool:
        channels = target.reshape(samples, -1, logits.shape[2:].numel())
        kept = (channels != ignore_label).all(1)
        valid = kept if valid is None else valid & kept
    return valid
