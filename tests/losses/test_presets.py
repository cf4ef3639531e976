"""The numbers of the source post: its values on the fixtures, and its PyTorch listings written out again."""

import inspect
import math

import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import LOSSES, supported_modes
from tests.losses.fixtures import fixture_b, fixture_b2, random_sample

PRESETS = [name for name in list_losses() if name.startswith("post")]
TABLE = {
    "post/dice": (0.239626, 0.223830),
    "post/bce_dice": (0.676645, 0.473161),
    "post/iou": (0.348850, 0.337013),
    "post/focal": (0.043822, 0.009714),
    "post/tversky": (0.211277, 0.202655),
    "post/focal_tversky": (0.044638, 0.041069),
    "post/combo": (0.307462, 0.346548),
    "post/lovasz_hinge": (0.750000, 0.375000),
    "post-keras/dice": (0.276763, 0.249946),
    "post-keras/tversky": (0.276763, 0.249946),
    "post-keras/iou": (0.433538, 0.399931),
    "post-keras/focal": (0.120204, 0.060259),
    "post-keras/focal_tversky": (0.076598, 0.062473),
    "post-keras/bce_dice": (0.713782, 0.499278),
}


def overlap_of(p, g):
    return (p * g).sum(), ((1 - g) * p).sum(), (g * (1 - p)).sum()


def dice(p, g, smooth):
    return 1 - (2 * (p * g).sum() + smooth) / (p.sum() + g.sum() + smooth)


def iou(p, g, smooth):
    both = (p * g).sum()
    return 1 - (both + smooth) / (p.sum() + g.sum() - both + smooth)


def tversky(p, g, smooth):
    tp, fp, fn = overlap_of(p, g)
    return 1 - (tp + smooth) / (tp + 0.5 * fp + 0.5 * fn + smooth)


def focal_of_the_mean(p, g):
    mean = F.binary_cross_entropy(p, g)
    return 0.8 * (1 - torch.exp(-mean)) ** 2 * mean


def focal_of_each_voxel(p, g):
    each = F.binary_cross_entropy(p, g, reduction="none")
    return (0.8 * (1 - torch.exp(-each)) ** 2 * each).mean()


def combo(p, g):
    out = -(0.5 * (g * torch.log(p) + (1 - 0.5) * (1 - g) * torch.log(1 - p)))
    return -(0.5 * out.mean(-1) - (1 - 0.5) * (1 - dice(p, g, 1)))


LISTINGS = {
    "post/dice": lambda p, g: dice(p, g, 1),
    "post/bce_dice": lambda p, g: F.binary_cross_entropy(p, g) + dice(p, g, 1),
    "post/iou": lambda p, g: iou(p, g, 1),
    "post/tversky": lambda p, g: tversky(p, g, 1),
    "post/focal_tversky": lambda p, g: tversky(p, g, 1) ** 2,
    "post/focal": focal_of_the_mean,
    "post/combo": combo,
    "post-keras/dice": lambda p, g: dice(p, g, 1e-6),
    "post-keras/bce_dice": lambda p, g: F.binary_cross_entropy(p, g) + dice(p, g, 1e-6),
    "post-keras/iou": lambda p, g: iou(p, g, 1e-6),
    "post-keras/tversky": lambda p, g: tversky(p, g, 1e-6),
    "post-keras/focal_tversky": lambda p, g: tversky(p, g, 1e-6) ** 2,
    "post-keras/focal": focal_of_each_voxel,
}


def lovasz_flat(errors, truth):
    """Berman's `lovasz_grad`, differences of neighbouring Jaccard values, in one row."""
    ordered, order = torch.sort(errors, descending=True)
    sorted_truth = truth[order].to(errors.dtype)
    union = sorted_truth.sum() + (1 - sorted_truth).cumsum(0)
    jaccard = 1 - (sorted_truth.sum() - sorted_truth.cumsum(0)) / union
    return torch.dot(F.relu(ordered), torch.diff(jaccard, prepend=jaccard.new_zeros(1)))


def test_every_preset_is_held_against_the_post():
    assert set(PRESETS) == {*TABLE, "post/lovasz_softmax"}
    assert set(LISTINGS) == {*TABLE} - {"post/lovasz_hinge"}


@pytest.mark.parametrize(("name", "on_b", "on_b2"), [(name, *values) for name, values in TABLE.items()])
def test_a_preset_has_the_posts_value(name, on_b, on_b2):
    loss = build_loss(name)
    assert loss(*fixture_b()).item() == pytest.approx(on_b, abs=6e-7)
    assert loss(*fixture_b2()).item() == pytest.approx(on_b2, abs=6e-7)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("name", LISTINGS)
def test_a_preset_is_the_listing_in_value_and_gradient(name, mode):
    logits, target = random_sample(mode)
    flat = logits.flatten().requires_grad_()
    listed = LISTINGS[name](flat.sigmoid(), target.flatten().double())
    (listed_gradient,) = torch.autograd.grad(listed, flat)

    logits = logits.detach().requires_grad_()
    value = build_loss(name)(logits, target)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(listed.item(), rel=1e-10)
    assert torch.allclose(gradient.flatten(), listed_gradient, rtol=1e-8, atol=1e-14)


def test_the_hinge_is_bermans_for_each_image():
    logits, target = random_sample("binary")
    errors = 1 - logits * (2 * target.double() - 1)
    rows = [lovasz_flat(e.flatten(), t.flatten()) for e, t in zip(errors, target, strict=True)]
    assert build_loss("post/lovasz_hinge")(logits, target).item() == pytest.approx((sum(rows) / 2).item(), rel=1e-10)


def test_the_softmax_is_bermans_over_the_batch_and_the_classes_that_are_present():
    logits, target = random_sample("multiclass")
    target[target == 2] = 0
    p = logits.softmax(1).movedim(1, -1).reshape(-1, 3)
    rows = [lovasz_flat(((target.flatten() == c).double() - p[:, c]).abs(), target.flatten() == c) for c in (0, 1)]
    assert build_loss("post/lovasz_softmax")(logits, target).item() == pytest.approx((sum(rows) / 2).item(), rel=1e-10)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_nothing_to_set(name):
    assert list(inspect.signature(LOSSES.find(name)).parameters) == ["mode"]
    with pytest.raises(ConfigError, match="smooth: there is no such key"):
        build_loss(name, smooth=1)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_that_it_is_the_posts(name):
    assert "post's" in LOSSES.find(name).__doc__
    assert LOSSES.find(name).family == "source post"


@pytest.mark.parametrize("name", PRESETS)
def test_only_the_softmax_takes_exclusive_classes(name):
    expected = ("multiclass",) if name == "post/lovasz_softmax" else ("binary", "multilabel")
    assert supported_modes(name) == expected


def test_the_negated_combo_stops_at_the_clamp_where_the_listing_ends_in_nan():
    truth = torch.ones(1, 1, 1, 4)
    value = build_loss("post/combo")(torch.full((1, 1, 1, 4), -60.0), truth)
    assert value.item() == pytest.approx(-(0.25 * -math.log(1e-7) - 0.5 * (1 / 5)), rel=1e-5)
    p, g = torch.full((4,), 30.0).sigmoid(), torch.zeros(4)
    assert combo(p.clamp(1e-9, 1 - 1e-9), g).isinf()
    assert build_loss("post/combo")(torch.full((1, 1, 1, 4), 30.0), truth * 0).isfinite()
