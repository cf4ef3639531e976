import math

import pytest
import torch
import torch.nn.functional as F

from segtrain.losses import build_loss
from tests.losses.fixtures import certain, gradient_of, random_sample


def value(sample, mask=None, **options):
    return build_loss("exp_log", **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


@pytest.mark.parametrize("exponent", [0.3, 1, 2])
def test_its_dice_part_is_a_power_of_the_logarithm_of_dice(exponent):
    logits, target = random_sample("multiclass", samples=1)
    p, g = logits.softmax(1).flatten(2), F.one_hot(target.flatten(1), 3).movedim(-1, 1)
    score = 2 * (p * g).sum(-1) / (p.sum(-1) + g.sum(-1))
    expected = (-score.log()).pow(exponent).mean()
    options = {"dice_weight": 1, "ce_weight": 0, "smooth": 0, "exponent": exponent}
    assert value((logits, target), **options) == same(expected.item())


@pytest.mark.parametrize("exponent", [0.3, 1, 2])
def test_its_other_part_is_a_power_of_the_cross_entropy_with_rare_classes_weighted_up(exponent):
    logits, target = random_sample("multiclass")
    rarity = (target.numel() / target.flatten().bincount(minlength=3)).sqrt()
    expected = (rarity[target] * F.cross_entropy(logits, target, reduction="none").pow(exponent)).mean()
    options = {"dice_weight": 0, "ce_weight": 1, "exponent": exponent}
    assert value((logits, target), **options) == pytest.approx(expected.item(), rel=1e-6)


def test_the_weights_add_up_the_parts():
    sample = random_sample("multiclass")
    dice, ce = value(sample, dice_weight=1, ce_weight=0), value(sample, dice_weight=0, ce_weight=1)
    assert value(sample) == same(0.8 * dice + 0.2 * ce)


def test_a_class_without_a_voxel_has_no_weight():
    logits, target = random_sample("multiclass")
    target = target.clamp_max(1)
    assert math.isfinite(value((logits, target), dice_weight=0))


@pytest.mark.parametrize("exponent", [0.3, 1, 2])
@pytest.mark.parametrize("margin", [10, 30, 1e4])
def test_next_to_the_optimum_the_gradient_is_finite(exponent, margin):
    _, target = random_sample("multiclass")
    for dtype in (torch.float32, torch.float64):
        logits = certain("multiclass", target, margin).to(dtype)
        assert torch.isfinite(gradient_of(build_loss("exp_log", exponent=exponent), logits, target)).all()


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_a_mask_leaves_the_loss_of_the_other_voxels(weights):
    logits, target = random_sample("multiclass", samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = tuple(t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target))
    assert value((logits, target), mask, class_weights=weights) == same(value(kept, class_weights=weights))


def test_class_weights_of_one_change_nothing():
    sample = random_sample("multiclass")
    assert value(sample, class_weights=(1, 1, 1)) == same(value(sample))
