import pytest
import torch
import torch.nn.functional as F

from segtrain.losses import build_loss
from segtrain.losses.region_size import SizeKL, SizeL1
from tests.losses.fixtures import gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
both = pytest.mark.parametrize("name", ["ce_size_l1", "ce_size_kl"])
every_term = pytest.mark.parametrize("term", [SizeL1, SizeKL])


def value(loss, sample, mask=None):
    return loss(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def sizes(logits, target):
    labels = F.one_hot(target, 3).movedim(-1, 1)
    return logits.softmax(1).flatten(2).mean(-1), labels.flatten(2).double().mean(-1)


@every_mode
@pytest.mark.parametrize(("name", "term"), [("ce_size_l1", SizeL1), ("ce_size_kl", SizeKL)])
def test_it_is_cross_entropy_plus_the_term_of_sizes(name, term, mode):
    sample = random_sample(mode)
    expected = value(build_loss("ce"), sample) + 10 * value(term(), sample)
    assert value(build_loss(name, size_weight=10), sample) == same(expected)
    assert value(build_loss(name, size_weight=0), sample) == value(build_loss("ce"), sample)


def test_the_first_is_the_mean_difference_of_the_shares():
    sample = random_sample("multiclass")
    answers, truth = sizes(*sample)
    assert value(SizeL1(), sample) == same((answers - truth).abs().mean().item())


def test_the_second_is_the_divergence_of_the_shares():
    sample = random_sample("multiclass")
    answers, truth = sizes(*sample)
    assert value(SizeKL(), sample) == pytest.approx((truth * (truth / answers).log()).sum(1).mean().item(), rel=1e-8)


def test_the_divergence_of_a_sigmoid_has_both_sides():
    logits, target = random_sample("binary")
    two = torch.cat([torch.zeros_like(logits), logits], 1)
    assert value(SizeKL(), (two, target.squeeze(1).long())) == same(value(SizeKL(), (logits, target)))


@every_mode
@every_term
def test_right_sizes_in_wrong_places_cost_nothing(term, mode):
    _, target = random_sample(mode)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    moved = target.flatten(-3)[..., order].view(target.shape)
    labels = F.one_hot(moved, 3).movedim(-1, 1) if mode == "multiclass" else moved
    assert value(term(), ((2 * labels.double() - 1) * 30, target)) == pytest.approx(0, abs=1e-9)


@every_term
def test_of_a_batch_it_is_the_mean_of_the_images(term):
    logits, target = random_sample("multiclass")
    alone = [value(term(), (logits[i : i + 1], target[i : i + 1])) for i in range(2)]
    assert value(term(), (logits, target)) == same(sum(alone) / 2)


@every_term
def test_an_image_without_a_valid_voxel_leaves_the_mean(term):
    logits, target = random_sample("multiclass")
    mask = torch.ones(2, 3, 4, 2)
    mask[1] = 0
    assert value(term(), (logits, target), mask) == same(value(term(), (logits[:1], target[:1])))


@both
@every_mode
def test_a_mask_leaves_the_loss_of_the_other_voxels(name, mode):
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    assert value(build_loss(name, mode), (logits, target), mask) == same(value(build_loss(name, mode), kept))


def test_class_weights_average_the_differences():
    sample = random_sample("multiclass")
    first, second = (value(SizeL1(class_weights=w), sample) for w in ((1, 0, 0), (0, 0, 1)))
    assert value(SizeL1(class_weights=(1, 0, 3)), sample) == same((first + 3 * second) / 4)


def test_a_class_that_vanished_has_a_finite_divergence_and_gradient():
    logits, target = random_sample("multiclass", dtype=torch.float32)
    logits[:, 1] = -1e4
    assert value(SizeKL(), (logits, target)) > 1
    assert torch.isfinite(gradient_of(SizeKL(), logits, target)).all()
