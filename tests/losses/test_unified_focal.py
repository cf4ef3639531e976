import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from tests.losses.fixtures import certain, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
both = pytest.mark.parametrize("name", ["unified_focal_asym", "unified_focal_sym"])
CLASS_WEIGHTS = {"multiclass": (1.0, 2.0, 3.0), "binary": (2.0,), "multilabel": (1.0, 2.0)}


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


@both
@every_mode
def test_its_weight_mixes_its_two_parts(name, mode):
    sample = random_sample(mode)
    focal, tversky = (value(name, sample, weight=w) for w in (0, 1))
    assert value(name, sample, weight=0.3) == same(0.7 * focal + 0.3 * tversky)


@both
@every_mode
def test_without_gamma_it_is_cross_entropy_and_tversky_of_both_sides(name, mode):
    logits, target = random_sample(mode)
    assert value(name, (logits, target), weight=0, delta=0.5, gamma=0) == same(value("ce", (logits, target)) / 2)
    prices = {"fp_weight": 0.4, "fn_weight": 0.6}
    expected = value("tversky", (logits, target), include_background=True, **prices)
    if mode != "multiclass":
        expected = (expected + value("tversky", (-logits, ~target), **prices)) / 2
    assert value(name, (logits, target), weight=1, gamma=0) == same(expected)


@both
def test_a_sigmoid_is_a_softmax_of_two_classes(name):
    logits, target = random_sample("binary")
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    assert value(name, (two, target.squeeze(1).long())) == same(value(name, (logits, target)))


def test_the_symmetric_cross_entropy_is_focal():
    sample = random_sample("multilabel")
    expected = value("focal", sample, gamma=0.5, alpha=0.6)
    assert value("unified_focal_sym", sample, weight=0) == same(expected)


def test_only_the_background_fades_out_in_the_asymmetric_cross_entropy():
    logits, target = random_sample("multiclass")
    costs = F.cross_entropy(logits, target, reduction="none")
    wrong = 1 - F.softmax(logits, 1).gather(1, target.unsqueeze(1)).squeeze(1)
    expected = torch.where(target > 0, 0.7 * costs, 0.3 * wrong.pow(0.2) * costs).mean()
    found = value("unified_focal_asym", (logits, target), weight=0, delta=0.7, gamma=0.2)
    assert found == same(expected.item())


@both
@pytest.mark.parametrize("margin", [10, 30, 1e4])
def test_next_to_the_optimum_the_gradient_is_finite(name, margin):
    _, target = random_sample("multiclass")
    for dtype in (torch.float32, torch.float64):
        logits = certain("multiclass", target, margin).to(dtype)
        assert torch.isfinite(gradient_of(build_loss(name, gamma=0.9), logits, target)).all()


@both
@every_mode
def test_of_a_batch_it_is_the_mean_of_the_samples(name, mode):
    logits, target = random_sample(mode)
    alone = [value(name, (logits[i : i + 1], target[i : i + 1])) for i in range(2)]
    assert value(name, (logits, target)) == same(sum(alone) / 2)


@both
@every_mode
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mask_leaves_the_loss_of_the_other_voxels(name, mode, weighted):
    options = {"class_weights": CLASS_WEIGHTS[mode]} if weighted else {}
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


@both
def test_a_sample_without_a_valid_voxel_leaves_the_mean(name):
    logits, target = random_sample("multilabel")
    mask = torch.ones(2, 3, 4, 2)
    mask[1] = 0
    assert value(name, (logits, target), mask=mask) == same(value(name, (logits[:1], target[:1])))


@both
@every_mode
def test_class_weights_of_one_change_nothing(name, mode):
    sample = random_sample(mode)
    ones = (1.0,) * len(CLASS_WEIGHTS[mode])
    assert value(name, sample, class_weights=ones) == same(value(name, sample))


@both
def test_a_gamma_of_one_would_leave_no_slope_and_is_refused(name):
    with pytest.raises(ConfigError, match="gamma"):
        build_loss(name, gamma=1)
