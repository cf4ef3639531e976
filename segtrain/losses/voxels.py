"""What the caller passed, checked and brought to one form that every loss reads.

Axes: B samples, C outputs, N voxels of a sample (the spatial axes, flattened). Whatever several parts of a loss need
(log-probabilities, cross-entropy) is computed once, on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mode = Literal["multiclass", "binary", "multilabel"]
"""multiclass: exclusive classes, softmax. binary: one sigmoid. multilabel: C independent sigmoids."""


@dataclass(frozen=True, eq=False)
class Voxels:
    """Logits and truth of one call. Ignored voxels have logit 0 and belong to no class, so nothing flows into them."""

    mode: Mode
    logits: Tensor
    """(B, C, N), float32 or float64."""
    truth: Tensor
    """multiclass: class indices (B, N), 0 where ignored; else membership (B, C, N), bool or of the logits' dtype."""
    valid: Tensor | None
    """(B, N) bool; None: every voxel counts."""

    @property
    def outputs(self) -> int:
        """C."""
        return self.logits.shape[1]

    @property
    def count(self) -> Tensor:
        """Valid voxels of each sample (B, 1), in the dtype of the logits."""
        if self.valid is None:
            samples, _, voxels = self.logits.shape
            return self.logits.new_full((samples, 1), float(voxels))
        return self.valid.sum(1, keepdim=True).to(self.logits.dtype)

    @cached_property
    def log_probabilities(self) -> Tensor:
        """(B, C, N) log of softmax or sigmoid, exact where the probability itself would round to 0."""
        return F.log_softmax(self.logits, 1) if self.mode == "multiclass" else F.logsigmoid(self.logits)

    @cached_property
    def probabilities(self) -> Tensor:
        """(B, C, N). All outputs: who drops the background drops it after the softmax."""
        return self.log_probabilities.exp() if self.mode == "multiclass" else self.logits.sigmoid()

    @cached_property
    def membership(self) -> Tensor:
        """(B, C, N), bool or float: how far a voxel belongs to a class. False where ignored."""
        if self.mode != "multiclass":
            return self.truth
        classes = torch.arange(self.outputs, device=self.truth.device).view(1, -1, 1)
        members = self.truth.unsqueeze(1) == classes
        return members if self.valid is None else members & self.valid.unsqueeze(1)

    @cached_property
    def cross_entropy(self) -> Tensor:
        """-log p of the truth: (B, N) for exclusive classes, else (B, C, N), one for each sigmoid."""
        if self.mode == "multiclass":
            return F.nll_loss(self.log_probabilities, self.truth, reduction="none")
        return F.binary_cross_entropy_with_logits(self.logits, self.truth.to(self.logits.dtype), reduction="none")

    def weights(self, class_weights: Tensor | None) -> Tensor | None:
        """Weight of each value of a per-voxel map: 0 where ignored, else that of its class. None: all 1."""
        flat = self.mode == "multiclass"
        valid = None if self.valid is None else (self.valid if flat else self.valid.unsqueeze(1)).to(self.logits.dtype)
        if class_weights is None:
            return valid
        own = class_weights[self.truth] if flat else class_weights.view(1, -1, 1)
        return own if valid is None else own * valid


def read(
    logits: Tensor, target: Tensor, mask: Tensor | None, *, mode: Mode | Literal["auto"], ignore_label: int | None
) -> Voxels:
    """The arguments of a loss as `Voxels`. ValueError, with all shapes, where they do not fit together."""
    _check_logits(logits, target)
    found = resolve_mode(logits, target) if mode == "auto" else mode
    _check_fit(found, logits, target)
    valid = _valid_voxels(logits, target, mask, ignore_label)
    x = logits.reshape(*logits.shape[:2], -1).to(torch.promote_types(logits.dtype, torch.float32))
    if valid is not None:
        x = x.masked_fill(~valid.unsqueeze(1), 0)
    return Voxels(found, x, _truth(found, x, target, valid), valid)


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
    samples, _, *space = logits.shape
    valid = None
    if mask is not None:
        if tuple(mask.shape) not in ((samples, *space), (samples, 1, *space)):
            raise ValueError(
                f"mask must be {(samples, *space)} or {(samples, 1, *space)}, not {tuple(mask.shape)}: "
                f"{_shapes(logits, target)}"
            )
        valid = mask.reshape(samples, -1).to(torch.bool)
    if ignore_label is not None and target.dtype != torch.bool:
        channels = target.reshape(samples, -1, logits.shape[2:].numel())
        kept = (channels != ignore_label).all(1)
        valid = kept if valid is None else valid & kept
    return valid


def _truth(mode: Mode, x: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    if mode == "multiclass":
        classes = target.reshape(x.shape[0], -1).to(torch.int64)
        if valid is not None:
            classes = classes.masked_fill(~valid, 0)
        _check_labels(classes, x.shape[1])
        return classes
    members = target.reshape(x.shape)
    members = members.to(x.dtype) if target.is_floating_point() else members
    if valid is not None:
        members = members.masked_fill(~valid.unsqueeze(1), 0)
    if members.dtype != torch.bool:
        _check_membership(members)
    return members if members.is_floating_point() else members.to(torch.bool)


def _check_labels(classes: Tensor, outputs: int) -> None:
    # On a GPU the check would make the step wait; there the kernel itself refuses a wrong index.
    if classes.device.type != "cpu":
        return
    low, high = (int(v) for v in classes.aminmax())
    if low < 0 or high >= outputs:
        raise ValueError(
            f"target holds class {low if low < 0 else high}, but there are {outputs} classes (0 to {outputs - 1}); "
            "give ignore_label if these voxels shall not count"
        )


def _check_membership(members: Tensor) -> None:
    if members.device.type != "cpu":
        return
    low, high = (float(v) for v in members.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"target holds {low if low < 0 else high:g}, but membership lies in 0 to 1; "
            "give ignore_label if these voxels shall not count"
        )


def _shapes(logits: Tensor, target: Tensor) -> str:
    return f"logits {tuple(logits.shape)}, target {tuple(target.shape)} {target.dtype}"


def _form(logits: Tensor, *axes: str) -> str:
    sizes = {"B": logits.shape[:1], "*S": logits.shape[2:]}
    return str(tuple(size for axis in axes for size in sizes[axis]))
