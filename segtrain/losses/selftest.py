"""Trying a loss on a tiny random patch before any scan is read: meant for the user's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segtrain.core.task import IGNORED_CLASS
from segtrain.losses.ranks import apart
from segtrain.losses.targets import as_target
from segtrain.losses.voxels import Mode

IGNORED_SHARE = 0.25
"""Of the voxels, where a mask is handed over."""


def self_test(loss: nn.Module, mode: Mode, outputs: int, dims: int, *, masked: bool = False) -> list[str]:
    """What is wrong with the loss, in plain words; empty: it can train a network with so many outputs and axes.

    `masked`: training will hand it a mask, as it does where task.ignore is set.
    """
    random = torch.Generator().manual_seed(0)
    space = (8,) * dims
    logits = torch.randn(2, outputs, *space, generator=random).requires_grad_()
    classes = torch.randint(0, outputs + (mode != "multiclass"), (2, *space), generator=random)
    if masked:
        classes = classes.masked_fill(torch.rand(classes.shape, generator=random) < IGNORED_SHARE, IGNORED_CLASS)
    target, mask = as_target(classes, mode, [(1 + i,) for i in range(outputs)], has_ignored=masked)
    called = f"called with logits {tuple(logits.shape)} and target {tuple(target.shape)} {target.dtype}"
    if mask is not None:
        called += f", and a mask {tuple(mask.shape)} {mask.dtype} because task.ignore is set,"
    with apart():
        try:
            value = loss(logits, target) if mask is None else loss(logits, target, mask)
        except Exception as error:
            return [f"{called} it raised {type(error).__name__}: {error}"]
        faults = _value_faults(value)
        return [f"{called} {fault}" for fault in faults] or _gradient_faults(value, logits, mask)


def _value_faults(value: object) -> list[str]:
    if not isinstance(value, Tensor):
        return [f"it returned a {type(value).__name__}, not a tensor"]
    faults = []
    if value.numel() != 1:
        faults.append(f"it returned shape {tuple(value.shape)}, not one number")
    if not value.is_floating_point():
        faults.append(f"it returned {value.dtype}, not a floating point number")
    elif not bool(torch.isfinite(value).all()):
        faults.append("its value is not finite")
    if not value.requires_grad:
        faults.append(
            "its value has no gradient: a step of it (argmax, a threshold, .item(), .detach()) cuts the graph"
        )
    return faults


def _gradient_faults(value: Tensor, logits: Tensor, mask: Tensor | None) -> list[str]:
    try:
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(value.sum(), logits, allow_unused=True)
    except RuntimeError as error:
        return [f"its gradient could not be computed: {error}"]
    gradient = gradients[0]
    if gradient is None:
        return ["its value does not depend on the logits"]
    if not bool(torch.isfinite(gradient).all()):
        return ["its gradient is not finite"]
    if not bool(gradient.any()):
        return ["its gradient is zero everywhere"]
    if mask is not None and bool((gradient * ~mask.unsqueeze(1)).any()):
        return ["it has a gradient at voxels that the mask leaves out, which task.ignore must not train"]
    return []
