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

from segtrain.losses.entropy import EntropyCost
from segtrain.losses.one_pass import Sums, sigmoid_sums, softmax_sums

Mode = Literal["multiclass", "binary", "multilabel"]
"""multiclass: exclusive classes, softmax. binary: one sigmoid. multilabel: C independent sigmoids."""


@dataclass(frozen=True, eq=False)
class Voxels:
    """Logits and truth of one call."""

    mode: Mode
    raw: Tensor
    """(B, C, N) logits in the type they came in."""
    given: Tensor
    """The target as it came: class indices (B, N), or membership (B, C, N). Anything where a voxel is ignored."""
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
    announced: tuple[EntropyCost, ...] = ()
    """Costs whose sums will be asked for; they ride in the pass that the first of them starts."""
    announced_overlap: bool = True
    """Whether overlap counts will be asked for."""

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
        if self.mode == "multiclass":
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
    def _passes(self) -> dict[tuple[tuple[EntropyCost, ...], bool], Sums]:
        """Passes that were made."""
        return {}

    def sums(self, *costs: EntropyCost, overlap: bool) -> Sums:
        """Counts and sums of costs, in the order given, from one pass over all that was announced or is asked now."""
        wanted = (*self.announced, *(cost for cost in costs if cost not in self.announced))
        key = wanted, overlap or self.announced_overlap
        if key not in self._passes:
            make = softmax_sums if self.mode == "multiclass" else sigmoid_sums
            self._passes[key] = make(self.raw, self.given, self.weight, wanted, overlap=key[1])
        return self._passes[key].of([wanted.index(cost) for cost in costs])

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
        if self.mode != "multiclass":
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


@dataclass(frozen=True, eq=False)
class Extras:
    """What a call may bring beside logits, target and mask."""

    weight_map: Tensor | None = None
    """(B, *S) or (B, 1, *S)."""
    spacing_mm: tuple[float, ...] | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)


def read(
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None,
    *,
    mode: Mode | Literal["auto"],
    ignore_label: int | None,
    extras: Extras | None = None,
    announced: tuple[EntropyCost, ...] = (),
    announced_overlap: bool = True,
) -> Voxels:
    """The arguments of a loss as `Voxels`. ValueError, with all shapes, where they do not fit together."""
    extras = extras or Extras()
    _check_logits(logits, target)
    found = resolve_mode(logits, target) if mode == "auto" else mode
    _check_fit(found, logits, target)
    valid = _valid_voxels(logits, target, mask, ignore_label)
    raw = logits.reshape(*logits.shape[:2], -1)
    given = target.reshape(len(raw), -1) if found == "multiclass" else target.reshape(raw.shape)
    _check_values(found, given, valid, raw.shape[1])
    weight_map = None if extras.weight_map is None else _per_voxel("weight_map", extras.weight_map, logits, target)
    return Voxels(
        mode=found,
        raw=raw,
        given=given,
        valid=valid,
        space=tuple(logits.shape[2:]),
        spacing_mm=_spacing(extras.spacing_mm, logits),
        weight_map=weight_map,
        maps=_checked_maps(extras.maps, logits),
        announced=announced,
        announced_overlap=announced_overlap,
    )


def resolve_mode(logits: Tensor, target: Tensor) -> Mode:
    """The mode that shapes and dtype of a call stand for."""
    if logits.shape[1] == 1:
        return "binary"
    if target.ndim == logits.ndim - 1 or target.shape[1] == 1:
        return "multiclass"
    if target.dtype == torch.bool or target.is_floating_point():
        return "multilabel"
    raise ValueError(
        f"an integer target with one channel a class is ambiguous: {_shapes(logits, target)}; pass class indices "
        f"{_form(logits, 'B', '*S')}, or booleans for independent classes"
    )


def _check_logits(logits: Tensor, target: Tensor) -> None:
    if logits.ndim not in (4, 5):
        raise ValueError(f"logits must be (B, C, *S) with two or three spatial axes: {_shapes(logits, target)}")
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, not {logits.dtype}")
    if logits.numel() == 0:
        raise ValueError(f"there are no voxels: {_shapes(logits, target)}")


def _check_fit(mode: Mode, logits: Tensor, target: Tensor) -> None:
    samples, outputs, *space = logits.shape
    flat, one, each = (samples, *space), (samples, 1, *space), (samples, outputs, *space)
    if (mode == "binary" and outputs != 1) or (mode == "multiclass" and outputs == 1):
        raise ValueError(f"{mode} does not go with {outputs} output channels: {_shapes(logits, target)}")
    allowed = {"multiclass": (flat, one), "binary": (flat, one), "multilabel": (each,)}[mode]
    if tuple(target.shape) not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"a {mode} target must be {wanted}: {_shapes(logits, target)}")
    if mode == "multiclass" and (target.is_floating_point() or target.dtype == torch.bool):
        raise ValueError(f"a multiclass target holds integers, not {target.dtype}: {_shapes(logits, target)}")


def _valid_voxels(logits: Tensor, target: Tensor, mask: Tensor | None, ignore_label: int | None) -> Tensor | None:
    """(B, N) bool, or None where every voxel counts."""
    samples = len(logits)
    valid = None if mask is None else _per_voxel("mask", mask, logits, target).to(torch.bool)
    if ignore_label is not None and target.dtype != torch.bool:
        channels = target.reshape(samples, -1, logits.shape[2:].numel())
        kept = (channels != ignore_label).all(1)
        valid = kept if valid is None else valid & kept
    return valid


def _per_voxel(name: str, values: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """(B, N) of one value a voxel."""
    samples, _, *space = logits.shape
    if tuple(values.shape) not in ((samples, *space), (samples, 1, *space)):
        raise ValueError(
            f"{name} must be {(samples, *space)} or {(samples, 1, *space)}, not {tuple(values.shape)}: "
            f"{_shapes(logits, target)}"
        )
    return values.reshape(samples, -1)


def _spacing(spacing_mm: tuple[float, ...] | None, logits: Tensor) -> tuple[float, ...]:
    axes = logits.ndim - 2
    if spacing_mm is None:
        return (1.0,) * axes
    if len(spacing_mm) != axes or not all(size > 0 for size in spacing_mm):
        raise ValueError(f"spacing_mm must be {axes} positive numbers for logits {tuple(logits.shape)}: {spacing_mm}")
    return spacing_mm


def _checked_maps(maps: Mapping[str, Tensor], logits: Tensor) -> Mapping[str, Tensor]:
    samples, outputs, *space = logits.shape
    allowed = ((samples, outputs, *space), (samples, 1, *space))
    for name, values in maps.items():
        if tuple(values.shape) not in allowed:
            raise ValueError(f"map {name} must be {allowed[0]} or {allowed[1]}, not {tuple(values.shape)}")
    return maps


def _check_values(mode: Mode, given: Tensor, valid: Tensor | None, outputs: int) -> None:
    """Labels are classes, memberships lie in 0 to 1, wherever a voxel counts."""
    # On a GPU the check would make the step wait; there a wrong label belongs to no class.
    if given.device.type != "cpu" or given.dtype == torch.bool:
        return
    largest = outputs - 1 if mode == "multiclass" else 1
    counted = valid if valid is None or mode == "multiclass" else valid.unsqueeze(1)
    low, high = (given if counted is None else given.masked_fill(~counted, 0)).aminmax()
    if low >= 0 and high <= largest:
        return
    wrong = low.item() if not low >= 0 else high.item()
    rule = f"there are {outputs} classes (0 to {largest})" if mode == "multiclass" else "membership lies in 0 to 1"
    kind = "class " if mode == "multiclass" else ""
    raise ValueError(f"target holds {kind}{wrong:g}, but {rule}; give ignore_label if these voxels shall not count")


def _shapes(logits: Tensor, target: Tensor) -> str:
    return f"logits {tuple(logits.shape)}, target {tuple(target.shape)} {target.dtype}"


def _form(logits: Tensor, *axes: str) -> str:
    sizes = {"B": logits.shape[:1], "*S": logits.shape[2:]}
    return str(tuple(size for axis in axes for size in sizes[axis]))
