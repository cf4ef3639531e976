"""What is not a number: never hidden where a voxel counts, never seen where it does not."""

from __future__ import annotations

import pytest
import torch

from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes
from tests.losses.fixtures import random_sample

CASES = [(name, mode) for name in list_losses() for mode in supported_modes(name)]
every_case = pytest.mark.parametrize(("name", "mode"), CASES, ids=[f"{n}-{m}" for n, m in CASES])
every_soft_case = pytest.mark.parametrize(
    ("name", "mode"), [c for c in CASES if c[1] != "multiclass"], ids=lambda value: str(value)
)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_that_are_no_numbers_make_a_value_that_is_none(name, mode, dtype):
    logits, target = random_sample(mode, dtype=dtype)
    loss = build_loss(name, mode)
    assert torch.isnan(loss(torch.full_like(logits, torch.nan), target))
    logits[0, -1, 1, 1, 1] = torch.nan
    assert torch.isnan(loss(logits, target)), "one of them is enough"


@every_soft_case
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -torch.inf])
def test_soft_labels_that_are_no_numbers_under_the_mask_change_nothing(name, mode, garbage):
    logits, target = random_sample(mode)
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(2)) > 0.3
    found = []
    for hidden in (0.0, garbage):
        x = logits.clone().requires_grad_()
        value = build_loss(name, mode)(x, target.double().masked_fill(~mask.unsqueeze(1), hidden), mask)
        found.append((value, *torch.autograd.grad(value, x)))
    assert torch.isfinite(found[1][0])
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
