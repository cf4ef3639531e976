"""Every registered loss on calls that nobody thought of: shapes, layouts, classes, masks, scales and types at random.

`test_losses.py` tries what can go wrong on one shape; here each loss gets calls of its own, the same in every run.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from torch import Tensor

from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes
from segtrain.losses.voxels import Mode

EXAMPLES = 12
HEAVY = {"cldice": 6, "dice_cldice": 6, "cl_ce": 6, "cbdice": 6, "blob": 6, "cc_dice_ce": 6}
"""Fewer for those that look for centre lines or objects in every call."""

DIGITS = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""How far two gradients may differ: sums are made in another order where memory lies otherwise."""


@dataclass(frozen=True)
class Call:
    """A call of a loss, in numbers."""

    mode: Mode
    shape: tuple[int, ...]
    """(B, C, *S)"""
    truth: str
    mask: str
    layout: str
    dtype: torch.dtype
    scale: float
    seed: int

    def arguments(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits, target and mask; all in one piece, and of samples that are alike where the layout repeats one."""
        random = torch.Generator().manual_seed(self.seed)
        target, mask = self._target(random), self._mask(random)
        logits = (torch.randn(self.shape, generator=random) * self.scale).to(self.dtype)
        if self.layout == "expanded":
            logits, target = (part[:1].repeat(self.shape[0], *[1] * (part.ndim - 1)) for part in (logits, target))
        return logits, target, mask

    def _target(self, random: torch.Generator) -> Tensor:
        samples, outputs, *space = self.shape
        if self.mode == "multiclass":
            found = torch.randint(0, outputs, (samples, *space), generator=random)
            # One class that no sample has.
            absent = torch.where(found == outputs - 1, 0, found)
            return {"empty": found * 0, "full": found * 0 + outputs - 1, "absent": absent, "any": found}[self.truth]
        found = torch.rand(self.shape, generator=random) < 0.4
        absent = found & (torch.arange(outputs).view(1, -1, *[1] * len(space)) < outputs - 1)
        return {"empty": found & False, "full": found | True, "absent": absent, "any": found}[self.truth]

    def _mask(self, random: torch.Generator) -> Tensor | None:
        samples, _, *space = self.shape
        found = torch.rand(samples, *space, generator=random) < 0.6
        one_out = found & (torch.arange(samples) > 0).view(-1, *[1] * len(space))
        return {"none": None, "any": found, "sample": one_out, "nothing": found & False}[self.mask]


@st.composite
def calls(draw: st.DrawFn, modes: tuple[Mode, ...]) -> Call:
    """Any call in one of these modes."""
    mode = draw(st.sampled_from(modes))
    axes = draw(st.sampled_from([2, 3]))
    space = draw(st.lists(st.integers(1, 5), min_size=axes, max_size=axes))
    if draw(st.integers(0, 7)) == 0:
        space = [1] * axes
    outputs = {"multiclass": st.integers(2, 4), "binary": st.just(1), "multilabel": st.integers(2, 3)}[mode]
    return Call(
        mode=mode,
        shape=(draw(st.integers(1, 3)), draw(outputs), *space),
        truth=draw(st.sampled_from(["any", "any", "empty", "full", "absent"])),
        mask=draw(st.sampled_from(["none", "none", "any", "sample", "nothing"])),
        layout=draw(st.sampled_from(["channels_last", "transposed", "expanded", "strided"])),
        dtype=draw(st.sampled_from(list(DIGITS))),
        scale=draw(st.sampled_from([1.0, 1.0, 30.0, 0.0, 1e4, -1e4])),
        seed=draw(st.integers(0, 999)),
    )


def laid_out(values: Tensor, layout: str) -> Tensor:
    """The same values, not in one piece of memory."""
    if layout == "channels_last":
        return values.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == "transposed":
        return values.transpose(-1, -2).contiguous().transpose(-1, -2)
    if layout == "expanded":
        return values[:1].expand_as(values)
    return torch.stack([values, values], -1)[..., 0]


def value_and_gradient(loss: torch.nn.Module, logits: Tensor, target: Tensor, mask: Tensor | None):
    logits = logits.detach().requires_grad_()
    value = loss(logits, target, mask)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


@pytest.mark.parametrize("name", list_losses())
def test_a_loss_takes_any_shape_layout_and_type_and_stays_finite(name):
    @seed(zlib.crc32(name.encode()))
    @settings(
        max_examples=HEAVY.get(name, EXAMPLES),
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(call=calls(supported_modes(name)))
    def holds(call: Call) -> None:
        loss = build_loss(name, call.mode)
        logits, target, mask = call.arguments()
        value, gradient = value_and_gradient(loss, logits, target, mask)
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert (gradient.shape, gradient.dtype) == (logits.shape, logits.dtype)
        assert torch.isfinite(gradient).all()

        parts = (laid_out(part, call.layout) for part in (logits, target))
        again, gradient_again = value_and_gradient(loss, *parts, None if mask is None else laid_out(mask, "strided"))
        torch.testing.assert_close(again, value, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(gradient_again, gradient, rtol=DIGITS[call.dtype], atol=1e-7)

    holds()
