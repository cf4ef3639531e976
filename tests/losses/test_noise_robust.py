import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from tests.losses.fixtures import certain, double, fixture_b, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-12)


def truth_probability(logits, target):
    return F.softmax(logits, 1).gather(1, target.unsqueeze(1))


class TestGeneralizedCrossEntropy:
    @every_mode
    def test_towards_zero_it_is_cross_entropy(self, mode):
        sample = random_sample(mode)
        assert value("gce", sample, q=1e-9) == pytest.approx(value("ce", sample), rel=1e-8)

    def test_at_one_it_is_the_mean_error_of_the_truth(self):
        logits, target = random_sample("multiclass")
        expected = 1 - truth_probability(logits, target).mean()
        assert value("gce", (logits, target), q=1) == same(expected.item())

    @every_mode
    def test_it_falls_as_q_rises(self, mode):
        values = [value("gce", random_sample(mode), q=q) for q in (0.1, 0.4, 0.7, 1)]
        assert all(later < earlier for earlier, later in itertools.pairwise(values))

    @pytest.mark.parametrize("q", [0, 1.1])
    def test_another_q_is_refused(self, q):
        with pytest.raises(ConfigError, match="q"):
            build_loss("gce", q=q)


class TestSymmetricCrossEntropy:
    def test_it_is_cross_entropy_and_the_reverse_one(self):
        logits, target = random_sample("multiclass")
        labels = F.one_hot(target, 3).movedim(-1, 1).double()
        log_labels = torch.where(labels > 0, 0.0, -6.0).double()
        reverse = -(F.softmax(logits, 1) * log_labels).sum(1).mean()
        expected = 0.5 * F.cross_entropy(logits, target) + 2 * reverse
        options = {"ce_weight": 0.5, "rce_weight": 2, "log_zero": -6}
        assert value("sce", (logits, target), **options) == same(expected.item())

    @every_mode
    def test_its_weights_choose_between_the_two(self, mode):
        sample = random_sample(mode)
        assert value("sce", sample, ce_weight=1, rce_weight=0) == same(value("ce", sample))
        assert value("sce", sample, ce_weight=0, rce_weight=1) == same(4 * value("gce", sample, q=1))

    def test_a_logarithm_of_zero_that_is_not_negative_is_refused(self):
        with pytest.raises(ConfigError, match="log_zero"):
            build_loss("sce", log_zero=0)


class TestT:
    def test_with_one_voxel_it_is_the_density_of_the_t_distribution(self):
        logits, target = double([[[[0.3]]]]), torch.tensor([[[[1]]]])
        error = 1 - logits.sigmoid()
        expected = -torch.distributions.StudentT(3.0).log_prob(error)
        assert value("t_loss", (logits, target), nu=3) == pytest.approx(expected.item(), rel=1e-6)

    def test_nu_can_be_learnt(self):
        loss = build_loss("t_loss", nu=2)
        assert [name for name, _ in loss.named_parameters()] == ["log_nu"]
        loss(*fixture_b()).backward()
        assert loss.log_nu.grad.abs() > 0.01
        assert math.exp(loss.log_nu.item()) == pytest.approx(2)

    def test_it_falls_towards_the_truth(self):
        _, target = random_sample("binary")
        values = [value("t_loss", (certain("binary", target, margin), target)) for margin in (-5, -1, 0, 1, 5, 30)]
        assert all(later < earlier for earlier, later in itertools.pairwise(values))

    def test_a_sample_that_is_all_wrong_pulls_less_than_one_that_is_half_right(self):
        target = torch.zeros(1, 1, 10, 10, dtype=torch.bool)
        logits = torch.full((1, 1, 10, 10), -2.0, dtype=torch.float64)
        logits[..., :1, :] = 2
        few = gradient_of(build_loss("t_loss"), logits, target)[0, 0, 0, 0]
        many = gradient_of(build_loss("t_loss"), -logits, target)[0, 0, 9, 9]
        assert few > 5 * many > 0

    def test_a_sample_without_a_valid_voxel_leaves_the_mean(self):
        logits, target = random_sample("binary")
        mask = torch.ones(2, 3, 4, 2)
        mask[1] = 0
        assert value("t_loss", (logits, target), mask=mask) == same(value("t_loss", (logits[:1], target[:1])))

    def test_a_weight_of_two_is_a_voxel_seen_twice(self):
        logits, target = random_sample("binary", samples=1)
        twice = (logits.repeat_interleave(2, -1), target.repeat_interleave(2, -1))
        weighted = build_loss("t_loss")(logits, target, weight_map=torch.full((1, 3, 4, 2), 2.0))
        assert weighted.item() == same(value("t_loss", twice))


@pytest.mark.parametrize("name", ["gce", "sce"])
def test_a_wrong_label_pulls_less_than_under_cross_entropy(name):
    logits, target = double([[[[6.0, 0.1]]]]), torch.tensor([[[[0, 1]]]])
    share = [
        g[0, 0, 0, 0].abs() / g.abs().sum() for g in (gradient_of(build_loss(n), logits, target) for n in (name, "ce"))
    ]
    assert share[0] < 0.5 * share[1]


@pytest.mark.parametrize("voxels", [1e3, 8e6])
def test_the_slope_of_nu_holds_for_large_volumes_in_float32(voxels):
    logits, target = random_sample("binary", samples=1)
    weight = torch.full((1, 3, 4, 2), voxels / 24)
    slopes = []
    for x in (logits, logits.float()):
        loss = build_loss("t_loss")
        loss(x, target, weight_map=weight).backward()
        slopes.append(loss.log_nu.grad.item())
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-4)
