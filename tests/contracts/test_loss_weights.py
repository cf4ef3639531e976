"""What a weight map means, in every loss and mode: how much a voxel counts beside the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segtrain.losses import build_loss, list_losses
from segtrain.losses.card import card
from segtrain.losses.registry import supported_modes
from tests.losses.fixtures import random_sample

CASES = [(name, mode) for name in list_losses() for mode in supported_modes(name)]

SEEN_BY_OTHERS = {
    "nacl": "a voxel of no weight is still a neighbour",
    "svls_ce": "a voxel of no weight is still a neighbour",
    **dict.fromkeys(["cldice", "dice_cldice", "cl_ce", "cbdice", "skeleton_recall"], "and part of a centre line"),
    **dict.fromkeys(["blob", "cc_dice_ce", "inverse_size_weighting"], "and part of an object"),
    **dict.fromkeys(["boundary", "dice_boundary", "generalized_surface", "region_wise"], "and an end of distances"),
    **dict.fromkeys(["hausdorff_dt", "log_hausdorff_dt", "hausdorff_one_sided"], "and an end of distances"),
    **dict.fromkeys(["dice_hausdorff", "distance_ce", "unet_border_ce"], "and an end of distances"),
    **dict.fromkeys(["boundary_dou", "surface_dice_dilation", "contour_weighted_ce"], "and part of a contour"),
    "active_contour": "a voxel of no weight is still the next one",
    "hausdorff_er": "a voxel of no weight still wears others away",
}
COUNTS_AS_SO_MANY = {"t_loss": "a weight is a number of voxels, of which its constant depends"}
NOTHING_HERE = {"hausdorff_er": "an error of less than a half costs nothing"}
NESTED: dict[str, dict[str, Any]] = {
    "gdice_focal": {"generalized_dice": {"smooth": 0}},
    "weighted_sum": {"of": [{"name": "dice", "smooth": 0}, {"name": "ce"}]},
    "ce_size_kl": {},  # its smoothing is of shares, not of voxels
}


def every_case_but(exceptions=()):
    cases = [case for case in CASES if case[0] not in exceptions]
    return pytest.mark.parametrize(("name", "mode"), cases, ids=[f"{n}-{m}" for n, m in cases])


def weights_of(seed, low=0.2):
    return low + torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unsmoothed(name, mode):
    """Without whatever is added in voxels, which does not scale with the weights."""
    known = {option.name for option in card(name).options}
    options = {key: 0.0 for key in ("smooth", "cldice_smooth") if key in known}
    return build_loss(name, mode, **NESTED.get(name, options))


def value_and_gradient(loss, logits, target, mask=None, weight_map=None):
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, target, mask, weight_map=weight_map)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_the_exceptions_exist():
    assert {*SEEN_BY_OTHERS, *COUNTS_AS_SO_MANY, *NOTHING_HERE, *NESTED} <= set(list_losses())


@every_case_but()
def test_weights_of_one_are_none(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, mode)
    ones = torch.ones(2, 1, 3, 4, 2)
    assert_same(value_and_gradient(loss, logits, target, None, ones), value_and_gradient(loss, logits, target))


@every_case_but(SEEN_BY_OTHERS)
def test_a_weight_of_nothing_takes_a_voxel_out(name, mode):
    logits, target = random_sample(mode)
    mask = weights_of(1) > 0.5
    loss = build_loss(name, mode)
    weighed = value_and_gradient(loss, logits, target, None, mask.float())
    assert_same(weighed, value_and_gradient(loss, logits, target, mask))


@every_case_but()
def test_weights_beside_a_mask_and_of_nothing_are_finite(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, mode)
    mask, some = weights_of(2) > 0.5, weights_of(3) > 0.6
    for weight in (some.double() * weights_of(4), torch.zeros(2, 3, 4, 2)):
        for valid in (mask, None, mask & ~some):
            value, gradient = value_and_gradient(loss, logits, target, valid, weight)
            assert torch.isfinite(value)
            assert torch.isfinite(gradient).all()
            if valid is not None:
                assert not gradient.masked_select(~valid.unsqueeze(1)).any()


# A preset has a smoothing that is no option.
@every_case_but({*COUNTS_AS_SO_MANY, *(name for name in list_losses() if name.startswith("post"))})
def test_only_the_ratios_of_weights_matter(name, mode):
    logits, target = random_sample(mode)
    loss, weight = unsmoothed(name, mode), weights_of(5)
    once = value_and_gradient(loss, logits, target, None, weight)
    assert_same(value_and_gradient(loss, logits, target, None, 7 * weight), once)


@every_case_but(NOTHING_HERE)
def test_a_weight_matters(name, mode):
    logits, target = random_sample(mode)
    loss, weight = build_loss(name, mode), weights_of(6)
    assert loss(logits, target, weight_map=weight) != loss(logits, target)


def test_a_weight_below_zero_is_refused():
    logits, target = random_sample("multiclass")
    weight = weights_of(7)
    weight[0, 0, 0, 0] = -0.5
    with pytest.raises(ValueError, match=r"weight_map holds -0.5, but a voxel weighs 0 or more"):
        build_loss("dice_ce")(logits, target, weight_map=weight)
