import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from segtrain.losses import build_loss
from tests.losses.fixtures import fixture_m, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
CLASS_WEIGHTS = {"multiclass": (1.0, 2.0, 3.0), "binary": (2.0,), "multilabel": (1.0, 2.0)}


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-12)


class TestTopK:
    @every_mode
    def test_all_of_them_are_cross_entropy(self, mode):
        sample = random_sample(mode)
        assert value("topk_ce", sample, k=100) == same(value("ce", sample))

    @every_mode
    def test_it_falls_as_more_voxels_are_kept(self, mode):
        sample = random_sample(mode)
        values = [value("topk_ce", sample, k=k) for k in (1, 10, 30, 60, 100)]
        assert all(later < earlier for earlier, later in itertools.pairwise(values))

    def test_at_least_the_worst_voxel_is_kept(self):
        logits, target = random_sample("binary")
        worst = F.binary_cross_entropy_with_logits(logits, target.double(), reduction="none").max()
        assert value("topk_ce", (logits, target), k=1e-6) == same(worst.item())
        mask = torch.ones(2, 3, 4, 2)
        assert value("topk_ce", (logits, target), mask=mask, k=1e-6) == same(worst.item())

    @pytest.mark.parametrize("valid", [1, 7, 10, 11, 50])
    @pytest.mark.parametrize("k", [10, 15, 30, 33, 99.5])
    def test_the_percentage_is_of_the_voxels_that_count(self, valid, k):
        logits, target = random_sample("binary", samples=1, space=(1, 100))
        mask = torch.zeros(1, 1, 100)
        mask[..., :valid] = 1
        costs = F.binary_cross_entropy_with_logits(logits, target.double(), reduction="none").flatten()[:valid]
        expected = costs.topk(math.ceil(valid * k / 100)).values.mean()
        assert value("topk_ce", (logits, target), mask=mask, k=k) == same(expected.item())

    @every_mode
    @pytest.mark.parametrize("k", [0.1, 9, 15, 30])
    @pytest.mark.parametrize("voxels", [50, 100, 180, 1000])
    def test_a_mask_of_ones_is_no_mask(self, mode, k, voxels):
        sample = random_sample(mode, samples=1, space=(1, voxels))
        assert value("topk_ce", sample, mask=torch.ones(1, 1, voxels), k=k) == same(value("topk_ce", sample, k=k))


class TestOnlineHardExamples:
    @every_mode
    def test_with_threshold_one_it_is_cross_entropy(self, mode):
        sample = random_sample(mode)
        assert value("ohem_ce", sample, threshold=1) == same(value("ce", sample))

    @every_mode
    @pytest.mark.parametrize("percent", [1, 10, 37])
    def test_where_nothing_is_below_the_threshold_it_is_top_k(self, mode, percent):
        sample = random_sample(mode)
        assert value("ohem_ce", sample, threshold=0, min_percent=percent) == same(value("topk_ce", sample, k=percent))

    def test_it_is_the_mean_of_the_costs_below_the_threshold(self):
        logits, target = random_sample("multiclass")
        costs = F.cross_entropy(logits, target, reduction="none")
        expected = costs[costs >= -math.log(0.4)].mean()
        assert value("ohem_ce", (logits, target), threshold=0.4, min_percent=1) == same(expected.item())

    def test_an_easy_voxel_has_no_gradient(self):
        logits, target = fixture_m()
        gradient = gradient_of(build_loss("ohem_ce", threshold=0.4, min_percent=1), logits, target)
        assert gradient.abs().sum(1).gt(0).tolist() == [[[False, False], [True, True]]]

    @pytest.mark.parametrize("valid", [1, 7, 10, 50])
    @pytest.mark.parametrize("percent", [10, 33])
    def test_the_percentage_is_of_the_voxels_that_count(self, valid, percent):
        logits, target = random_sample("binary", samples=1, space=(1, 100))
        mask = torch.zeros(1, 1, 100)
        mask[..., :valid] = 1
        expected = value("topk_ce", (logits, target), mask=mask, k=percent)
        assert value("ohem_ce", (logits, target), mask=mask, threshold=0, min_percent=percent) == same(expected)


@every_mode
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "options"), [("topk_ce", {"k": 37}), ("ohem_ce", {"threshold": 0.5}), ("ohem_ce", {"min_percent": 60})]
)
def test_with_any_option_a_mask_leaves_the_loss_of_the_other_voxels(name, options, weighted, mode):
    if weighted:
        options = options | {"class_weights": CLASS_WEIGHTS[mode]}
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


@every_mode
@pytest.mark.parametrize("name", ["topk_ce", "ohem_ce"])
def test_all_voxels_are_cross_entropy_with_weights_too(name, mode):
    logits, target = random_sample(mode)
    loss = {"topk_ce": {"k": 100}, "ohem_ce": {"threshold": 1}}[name]
    weight = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight[0, 0] = 0
    for own in (None, CLASS_WEIGHTS[mode], (0.0, *CLASS_WEIGHTS[mode][1:])):
        both = [build_loss(n, mode, class_weights=own, **o) for n, o in ((name, loss), ("ce", {}))]
        found, expected = (each(logits, target, weight_map=weight).item() for each in both)
        assert found == same(expected)


@every_mode
@pytest.mark.parametrize("name", ["topk_ce", "ohem_ce"])
def test_weights_do_not_say_which_voxels_are_hard(name, mode):
    logits, target = random_sample(mode)
    own = tuple(1 / w for w in CLASS_WEIGHTS[mode])
    options = {"topk_ce": {"k": 20}, "ohem_ce": {"threshold": 0, "min_percent": 20}}[name]
    gradients = [gradient_of(build_loss(name, mode, class_weights=w, **options), logits, target) for w in (None, own)]
    assert torch.equal(gradients[0] != 0, gradients[1] != 0)
