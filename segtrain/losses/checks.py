"""Whether the arguments of a call fit together; what does not is refused in words, with all shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["multiclass", "binary", "multilabel"]
"""multiclass: exclusive classes, softmax. binary: one sigmoid. multilabel: C independent sigmoids."""

WHOLE = 1e-3
"""How far the memberships of a voxel in exclusive classes may sum up to something else than 1."""


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


def check_logits(logits: Tensor, target: Tensor) -> None:
    """Floating point (B, C, *S) with a voxel at least."""
    if logits.ndim not in (4, 5):
        raise ValueError(f"logits must be (B, C, *S) with two or three spatial axes: {_shapes(logits, target)}")
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, not {logits.dtype}")
    if logits.numel() == 0:
        raise ValueError(f"there are no voxels: {_shapes(logits, target)}")


def check_fit(mode: Mode, logits: Tensor, target: Tensor, *, shared: bool) -> None:
    """The target has the shape and the kind that the mode wants; `shared`: exclusive classes may share a voxel."""
    samples, outputs, *space = logits.shape
    flat, one, each = (samples, *space), (samples, 1, *space), (samples, outputs, *space)
    if (mode == "binary" and outputs != 1) or (mode == "multiclass" and outputs == 1):
        raise ValueError(f"{mode} does not go with {outputs} output channels: {_shapes(logits, target)}")
    if shared and mode == "multiclass" and target.is_floating_point() and tuple(target.shape) == each:
        return
    allowed = {"multiclass": (flat, one), "binary": (flat, one), "multilabel": (each,)}[mode]
    if tuple(target.shape) not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"a {mode} target must be {wanted}: {_shapes(logits, target)}")
    if mode == "multiclass" and (target.is_floating_point() or target.dtype == torch.bool):
        raise ValueError(f"a multiclass target holds integers, not {target.dtype}: {_shapes(logits, target)}")


def per_voxel(name: str, values: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """(B, N) of one value a voxel."""
    samples, _, *space = logits.shape
    if tuple(values.shape) not in ((samples, *space), (samples, 1, *space)):
        raise ValueError(
            f"{name} must be {(samples, *space)} or {(samples, 1, *space)}, not {tuple(values.shape)}: "
            f"{_shapes(logits, target)}"
        )
    return values.reshape(samples, -1)


def checked_spacing(spacing_mm: tuple[float, ...] | None, logits: Tensor) -> tuple[float, ...]:
    """A positive number for each spatial axis; 1 where none is given."""
    axes = logits.ndim - 2
    if spacing_mm is None:
        return (1.0,) * axes
    if len(spacing_mm) != axes or not all(size > 0 for size in spacing_mm):
        raise ValueError(f"spacing_mm must be {axes} positive numbers for logits {tuple(logits.shape)}: {spacing_mm}")
    return spacing_mm


def checked_maps(maps: Mapping[str, Tensor], logits: Tensor) -> Mapping[str, Tensor]:
    """Each (B, C or 1, *S)."""
    samples, outputs, *space = logits.shape
    allowed = ((samples, outputs, *space), (samples, 1, *space))
    for name, values in maps.items():
        if tuple(values.shape) not in allowed:
            raise ValueError(f"map {name} must be {allowed[0]} or {allowed[1]}, not {tuple(values.shape)}")
    return maps


# The checks below look at values: on a GPU that would make the step wait, so there they are left out. A label that is
# no class then belongs to none.


def check_weight_map(weight_map: Tensor, valid: Tensor | None) -> None:
    """No voxel that counts weighs less than nothing; a weight that is not a number is left to show in the value."""
    if weight_map.device.type != "cpu" or weight_map.dtype == torch.bool:
        return
    if (low := (weight_map if valid is None else weight_map.masked_fill(~valid, 0)).amin()) < 0:
        raise ValueError(f"weight_map holds {low.item():g}, but a voxel weighs 0 or more")


def check_values(mode: Mode, given: Tensor, valid: Tensor | None, outputs: int) -> None:
    """Labels are classes, memberships lie in 0 to 1 (and add up to 1, if exclusive), wherever a voxel counts."""
    if given.device.type != "cpu" or given.dtype == torch.bool:
        return
    channels = given.ndim == 3
    indices = mode == "multiclass" and not channels
    largest = outputs - 1 if indices else 1
    counted = valid.unsqueeze(1) if channels and valid is not None else valid
    shown = given if counted is None else given.masked_fill(~counted, 0)
    low, high = shown.aminmax()
    if not (low >= 0 and high <= largest):
        wrong = low.item() if not low >= 0 else high.item()
        rule = f"there are {outputs} classes (0 to {largest})" if indices else "membership lies in 0 to 1"
        kind = "class " if indices else ""
        raise ValueError(f"target holds {kind}{wrong:g}, but {rule}; give ignore_label if these voxels shall not count")
    if mode == "multiclass" and channels:
        _check_sums(shown.sum(1), valid)


def _check_sums(sums: Tensor, valid: Tensor | None) -> None:
    """Of the memberships of each voxel (B, N)."""
    off = (sums - 1).abs() > WHOLE
    if valid is not None:
        off = off & valid
    if off.any():
        raise ValueError(
            f"the memberships of a voxel in exclusive classes sum to {sums[off][0].item():g}, not 1; independent "
            "classes are mode multilabel"
        )


def _shapes(logits: Tensor, target: Tensor) -> str:
    return f"logits {tuple(logits.shape)}, target {tuple(target.shape)} {target.dtype}"


def _form(logits: Tensor, *axes: str) -> str:
    sizes = {"B": logits.shape[:1], "*S": logits.shape[2:]}
    return str(tuple(size for axis in axes for size in sizes[axis]))
