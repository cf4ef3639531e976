import itertools

import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from tests.losses.fixtures import certain, double, fixture_b, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
CLASS_WEIGHTS = {"multiclass": (1.0, 2.0, 3.0), "binary": (2.0,), "multilabel": (1.0, 2.0)}


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-12)


class TestNormalizedFocal:
    @every_mode
    def test_without_focus_it_is_cross_entropy(self, mode):
        sample = random_sample(mode)
        assert value("normalized_focal", sample, gamma=0) == same(value("ce", sample))

    @every_mode
    def test_it_rises_with_gamma_because_the_hardest_voxels_weigh_most(self, mode):
        sample = random_sample(mode)
        values = [value("normalized_focal", sample, gamma=g) for g in (0, 0.5, 1, 2, 5)]
        assert all(later > earlier for earlier, later in itertools.pairwise(values))

    @every_mode
    def test_of_a_sample_its_gradient_is_that_of_focal_on_another_scale(self, mode):
        sample = random_sample(mode, samples=1)
        focal = gradient_of(build_loss("focal", alpha=None), *sample)
        scale = value("normalized_focal", sample) / value("focal", sample, alpha=None)
        assert scale > 1.5
        assert torch.allclose(gradient_of(build_loss("normalized_focal"), *sample), scale * focal)

    @every_mode
    def test_of_a_batch_it_is_the_mean_of_the_samples(self, mode):
        logits, target = random_sample(mode)
        alone = [value("normalized_focal", (logits[i : i + 1], target[i : i + 1])) for i in range(2)]
        assert value("normalized_focal", (logits, target)) == same(sum(alone) / 2)

    def test_a_sample_without_a_valid_voxel_leaves_the_mean(self):
        logits, target = random_sample("multiclass")
        mask = torch.ones(2, 3, 4, 2)
        mask[1] = 0
        alone = value("normalized_focal", (logits[:1], target[:1]))
        assert value("normalized_focal", (logits, target), mask=mask) == same(alone)

    def test_no_voxel_is_pushed_away_from_its_truth(self):
        logits, target = random_sample("binary")
        gradient = gradient_of(build_loss("normalized_focal"), logits, target)
        assert (torch.where(target, -gradient, gradient) >= 0).all()

    @every_mode
    def test_class_weights_weigh_both_sums(self, mode):
        sample = random_sample(mode)
        weights = CLASS_WEIGHTS[mode]
        assert value("normalized_focal", sample, gamma=0, class_weights=[1] * len(weights)) == same(value("ce", sample))
        weighted = value("normalized_focal", sample, class_weights=weights)
        again = value("normalized_focal", sample, class_weights=[7 * w for w in weights])
        assert again == pytest.approx(weighted, rel=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("margin", [3, 8, 15, 30, 1e4])
    def test_of_a_solved_sample_the_gradient_stays_bounded(self, margin, dtype):
        _, target = random_sample("multiclass")
        gradient = gradient_of(build_loss("normalized_focal"), certain("multiclass", target, margin).to(dtype), target)
        assert gradient.abs().max() <= 1


class TestReducedFocal:
    def test_with_threshold_one_it_is_cross_entropy(self):
        sample = random_sample("multilabel")
        assert value("reduced_focal", sample, threshold=1) == same(value("bce", sample))

    def test_far_above_the_threshold_it_is_focal_over_its_power(self):
        logits, target = random_sample("binary")
        right = torch.where(target, logits.abs(), -logits.abs())
        expected = value("focal", (right, target), alpha=None) / 0.25
        assert value("reduced_focal", (right, target), threshold=0.5) == same(expected)

    def test_below_the_threshold_a_voxel_has_the_gradient_of_cross_entropy(self):
        logits, target = random_sample("binary")
        wrong = torch.where(target, -logits.abs(), logits.abs())
        expected = gradient_of(build_loss("bce"), wrong, target)
        assert torch.allclose(gradient_of(build_loss("reduced_focal"), wrong, target), expected)


class TestPoly1:
    @every_mode
    def test_without_the_term_it_is_what_it_started_from(self, mode):
        sample = random_sample(mode)
        assert value("poly1_ce", sample, epsilon=0) == same(value("ce", sample))
        assert value("poly1_focal", sample, epsilon=0, gamma=1.5) == same(value("focal", sample, gamma=1.5, alpha=None))

    @every_mode
    def test_without_focus_the_two_are_one(self, mode):
        sample = random_sample(mode)
        assert value("poly1_focal", sample, gamma=0, epsilon=2) == same(value("poly1_ce", sample, epsilon=2))

    def test_the_term_is_the_mean_error_of_the_truth(self):
        logits, target = random_sample("multiclass")
        wrong = 1 - F.softmax(logits, 1).gather(1, target.unsqueeze(1))
        gain = value("poly1_ce", (logits, target), epsilon=2) - value("ce", (logits, target))
        assert gain == pytest.approx(2 * wrong.mean().item(), rel=1e-10)

    @pytest.mark.parametrize("name", ["poly1_ce", "poly1_focal"])
    def test_an_epsilon_that_rewards_mistakes_is_refused(self, name):
        with pytest.raises(ConfigError, match="epsilon"):
            build_loss(name, epsilon=-1.1)
        assert value(name, fixture_b(), epsilon=-1) > 0


@every_mode
@pytest.mark.parametrize("name", ["normalized_focal", "poly1_ce", "poly1_focal"])
def test_with_class_weights_a_mask_leaves_the_loss_of_the_other_voxels(name, mode):
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    options = {"class_weights": CLASS_WEIGHTS[mode]}
    assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


def test_a_certain_error_keeps_its_gradient_in_float32():
    logits, target = double([[[[40, 40]]]]).float(), torch.tensor([[[[0, 1]]]])
    for name in ("normalized_focal", "reduced_focal", "poly1_ce", "poly1_focal"):
        assert gradient_of(build_loss(name), logits, target)[0, 0, 0, 0] > 0.1
