import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from segtrain.losses.neighbours import class_shares, smoothed_labels
from segtrain.losses.voxels import Reading, read
from tests.losses.fixtures import gradient_of, random_sample


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-12)


def voxels_of(sample, mask=None):
    return read(*sample, mask, Reading())


def one_hot(target):
    return F.one_hot(target, 3).movedim(-1, 1).double()


@pytest.mark.parametrize("space", [(4, 5), (3, 4, 5)])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_share_of_a_class_is_its_mean_over_the_cube_inside_the_image(space, size):
    sample = random_sample("multiclass", space=space)
    shares = class_shares(voxels_of(sample), size).view(2, 3, *space)
    labels = one_hot(sample[1])
    for place in itertools.product(*map(range, space)):
        around = tuple(slice(max(0, i - size // 2), i + size // 2 + 1) for i in place)
        expected = labels[(..., *around)].flatten(2).mean(-1)
        assert torch.allclose(shares[(..., *place)], expected)


@pytest.mark.parametrize("space", [(4, 5), (3, 4, 5)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 4.0])
def test_half_of_a_smoothed_label_is_a_gaussian_mean_of_the_neighbours(space, sigma):
    sample = random_sample("multiclass", space=space)
    labels = one_hot(sample[1])
    found = smoothed_labels(voxels_of(sample), sigma).view_as(labels)
    padded = F.pad(labels, (1, 1) * len(space), mode="replicate")
    total, weights = torch.zeros_like(labels), 0.0
    for offset in itertools.product((-1, 0, 1), repeat=len(space)):
        weight = math.exp(-sum(o * o for o in offset) / (2 * sigma**2)) * any(offset)
        place = tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, space, strict=True))
        total, weights = total + weight * padded[(..., *place)], weights + weight
    assert torch.allclose(found, (labels + total / weights) / 2)


@pytest.mark.parametrize("of", [lambda v: class_shares(v, 3), lambda v: smoothed_labels(v, 1.0)], ids=["mean", "svls"])
class TestSoftLabels:
    def test_they_sum_to_one(self, of):
        found = of(voxels_of(random_sample("multiclass")))
        assert torch.allclose(found.sum(1), torch.ones_like(found[:, 0]))

    def test_with_a_mask_they_sum_to_one_and_do_not_see_what_is_under_it(self, of):
        logits, target = random_sample("multiclass")
        mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(2)) > 0.3
        found = of(voxels_of((logits, target), mask))
        counted = mask.flatten(1).unsqueeze(1)
        assert torch.allclose(found.sum(1)[mask.flatten(1)], torch.ones((), dtype=torch.float64))
        other = of(voxels_of((logits, torch.where(mask, target, 0)), mask))
        assert torch.equal(found * counted, other * counted)

    def test_far_from_a_border_they_are_the_labels(self, of):
        target = torch.zeros(1, 9, 9, dtype=torch.int64)
        target[:, :, 5:] = 2
        found = of(voxels_of((torch.zeros(1, 3, 9, 9), target))).view(1, 3, 9, 9)
        assert torch.equal(found[..., :4], one_hot(target).float()[..., :4])
        assert (found[:, 2, :, 4] > 0.1).all()

    def test_one_voxel_is_its_label(self, of):
        found = of(voxels_of((torch.zeros(1, 3, 1, 1), torch.tensor([[[1]]]))))
        assert found.flatten().tolist() == [0, 1, 0]


class TestCalibration:
    def test_without_the_pull_it_is_cross_entropy(self):
        sample = random_sample("multiclass")
        assert value("nacl", sample, alpha=0) == value("ce", sample)

    def test_of_one_voxel_the_pull_is_towards_the_label(self):
        logits, target = random_sample("multiclass")
        pull = (one_hot(target) - logits).abs().mean()
        expected = value("ce", (logits, target)) + 0.3 * pull.item()
        assert value("nacl", (logits, target), alpha=0.3, kernel_size=1) == same(expected)

    def test_large_logits_are_pulled_back(self):
        _, target = random_sample("multiclass")
        certain = (2 * one_hot(target) - 1) * 30
        gradient = gradient_of(build_loss("nacl"), certain, target)
        assert torch.equal(gradient.sign(), certain.sign())

    def test_a_kernel_without_a_middle_is_refused(self):
        with pytest.raises(ConfigError, match="middle voxel"):
            build_loss("nacl", kernel_size=2)


class TestSpatiallyVaryingSmoothing:
    def test_it_is_torchs_cross_entropy_with_the_smoothed_labels(self):
        logits, target = random_sample("multiclass")
        labels = smoothed_labels(voxels_of((logits, target)), 1.0).view_as(logits)
        assert value("svls_ce", (logits, target)) == same(F.cross_entropy(logits, labels).item())

    def test_of_one_class_it_is_cross_entropy(self):
        logits, target = random_sample("multiclass")
        plain = (logits, torch.ones_like(target))
        assert value("svls_ce", plain) == same(value("ce", plain))

    def test_class_weights_are_those_of_the_true_class(self):
        logits, target = random_sample("multiclass")
        only = value("svls_ce", (logits, target), class_weights=(0, 0, 1))
        mask = target == 2
        labels = smoothed_labels(voxels_of((logits, target)), 1.0).view_as(logits)
        costs = -(labels * F.log_softmax(logits, 1)).sum(1)
        assert only == same(costs[mask].mean().item())
