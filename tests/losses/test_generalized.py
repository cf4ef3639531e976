import pytest
import torch

from segtrain.losses import build_loss
from tests.losses.fixtures import double, fixture_m, gradient_of, random_sample

WEIGHTINGS = ["square", "simple", "uniform"]
every_weighting = pytest.mark.parametrize("weighting", WEIGHTINGS)


def value(sample, mode="auto", mask=None, **options):
    return build_loss("generalized_dice", mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def by_its_formula(sample, power):
    """The paper's score of one sample, all classes, no smoothing."""
    logits, target = sample
    p = logits.softmax(1).flatten(2)
    g = torch.nn.functional.one_hot(target, p.shape[1]).movedim(-1, 1).flatten(2).double()
    weights = g.sum(-1) ** -power
    return (1 - 2 * (weights * (p * g).sum(-1)).sum() / (weights * (p + g).sum(-1)).sum()).item()


@pytest.mark.parametrize(("weighting", "power"), [("square", 2), ("simple", 1), ("uniform", 0)])
def test_classes_are_added_up_before_the_division(weighting, power):
    sample = random_sample("multiclass", samples=1)
    assert value(sample, weighting=weighting, smooth=0) == same(by_its_formula(sample, power))


@every_weighting
def test_of_classes_of_one_size_it_is_the_dice_of_all_voxels_at_once(weighting):
    logits, _ = random_sample("multiclass", samples=1, space=(3, 4))
    target = torch.arange(3).repeat(4).view(1, 3, 4)
    micro = build_loss("dice", include_background=True, reduce_over="flat", smooth=0)(logits, target).item()
    assert value((logits, target), weighting=weighting, smooth=0) == same(micro)


@every_weighting
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
class TestOfABatch:
    def test_it_is_the_mean_of_the_samples(self, weighting, mode):
        logits, target = random_sample(mode)
        alone = [value((logits[i : i + 1], target[i : i + 1]), weighting=weighting) for i in range(2)]
        assert value((logits, target), weighting=weighting) == same(sum(alone) / 2)

    def test_pooled_it_is_that_of_one_large_sample(self, weighting, mode):
        logits, target = random_sample(mode)
        large = tuple(torch.cat(list(t), -1).unsqueeze(0) for t in (logits, target))
        pooled = value((logits, target), weighting=weighting, reduce_over="batch")
        assert pooled == same(value(large, weighting=weighting))

    def test_a_mask_leaves_the_loss_of_the_other_voxels(self, weighting, mode):
        logits, target = random_sample(mode, samples=1, space=(4, 6))
        mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
        kept = tuple(t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target))
        assert value((logits, target), mode, mask, weighting=weighting) == same(value(kept, mode, weighting=weighting))

    def test_a_sample_without_a_valid_voxel_leaves_the_mean(self, weighting, mode):
        logits, target = random_sample(mode)
        mask = torch.ones(2, 3, 4, 2)
        mask[1] = 0
        alone = value((logits[:1], target[:1]), weighting=weighting)
        assert value((logits, target), mask=mask, weighting=weighting) == same(alone)


@every_weighting
def test_a_class_without_a_voxel_does_not_drown_the_others(weighting):
    logits, target = fixture_m()
    wider = torch.cat([logits, torch.full((1, 1, 2, 2), -60.0, dtype=torch.float64)], 1)
    assert value((wider, target), weighting=weighting) == same(value((logits, target), weighting=weighting))
    assert gradient_of(build_loss("generalized_dice", weighting=weighting), wider, target)[:, :3].abs().max() > 0.01


@every_weighting
def test_where_every_class_is_absent_it_costs_nothing_and_stays_in_the_graph(weighting):
    logits, target = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    assert value((logits, target), weighting=weighting) == 0
    assert not gradient_of(build_loss("generalized_dice", weighting=weighting), logits, target).any()


def test_the_more_a_size_weighs_the_more_a_lost_voxel_of_a_rare_class_costs():
    target = torch.tensor([[[0] * 16, [0] * 12 + [1, 1, 2, 2]]])
    perfect = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double() * 8
    rare_lost, common_lost = perfect.clone(), perfect.clone()
    rare_lost[..., 1, 14] = double([8, 0, 0]).view(1, 3)
    common_lost[..., 0, 0] = double([0, 8, 0]).view(1, 3)
    ratios = [
        value((rare_lost, target), weighting=w, smooth=0) / value((common_lost, target), weighting=w, smooth=0)
        for w in ("uniform", "simple", "square")
    ]
    assert ratios[0] == same(1)
    assert ratios[0] < ratios[1] < ratios[2]


class TestPenalty:
    @pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
    @pytest.mark.parametrize("k", [0, 1, 2.5, 10])
    def test_it_bends_the_generalised_dice_of_each_sample(self, k, mode):
        logits, target = random_sample(mode)
        alone = [value((logits[i : i + 1], target[i : i + 1])) for i in range(2)]
        expected = sum(dice / (1 + k * (1 - dice)) for dice in alone) / 2
        assert build_loss("penalty_gdice", k=k)(logits, target).item() == same(expected)

    def test_it_takes_the_options_of_generalised_dice(self):
        sample = random_sample("multiclass")
        options = {"weighting": "simple", "include_background": False, "reduce_over": "batch", "smooth": 1}
        assert build_loss("penalty_gdice", k=0, **options)(*sample).item() == same(value(sample, **options))


def test_the_background_can_be_left_out():
    logits, target = fixture_m()
    p = logits.softmax(1)[:, 1:]
    labels = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)[:, 1:].bool()
    expected = value((torch.logit(p), labels))
    assert value((logits, target), include_background=False) == same(expected)


def test_class_weights_multiply_the_size_weights_and_their_scale_does_not_matter():
    sample = fixture_m()
    assert value(sample, class_weights=(2, 2, 2)) == same(value(sample))
    only_one = value(sample, class_weights=(0, 1, 0), smooth=0)
    logits, target = sample
    alone = build_loss("dice", smooth=0)(torch.logit(logits.softmax(1)[:, 1:2]), target == 1).item()
    assert only_one == same(alone)


class TestAbsentClasses:
    LOGITS, TARGET = fixture_m()[0], torch.tensor([[[0, 1], [1, 1]]])

    def test_their_own_false_positives_are_free(self):
        logits, target = random_sample("multilabel")
        target[:, 1] = False
        gradient = gradient_of(build_loss("generalized_dice"), logits, target)
        assert gradient[:, 0].any()
        assert not gradient[:, 1].any()

    def test_with_the_largest_weight_they_cost(self):
        p = self.LOGITS.softmax(1).flatten(2)
        g = torch.nn.functional.one_hot(self.TARGET, 3).movedim(-1, 1).flatten(2).double()
        weights = double([[1, 1 / 9, 1]])
        expected = 1 - 2 * (weights * (p * g).sum(-1)).sum() / (weights * (p + g).sum(-1)).sum()
        assert value((self.LOGITS, self.TARGET), absent="max", smooth=0) == same(expected.item())

    def test_without_any_class_an_answer_costs_only_where_absent_ones_weigh(self):
        logits, target = random_sample("multilabel")
        nothing = logits, target & False
        assert value(nothing) == 0
        assert value(nothing, absent="max") == pytest.approx(1, abs=1e-4)
        assert gradient_of(build_loss("generalized_dice", absent="max", smooth=1.0), *nothing).gt(0).all()

    @every_weighting
    def test_where_all_are_present_the_option_changes_nothing(self, weighting):
        sample = random_sample("multiclass")
        assert value(sample, weighting=weighting, absent="max") == value(sample, weighting=weighting)
