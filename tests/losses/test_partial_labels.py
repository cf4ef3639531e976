import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from segtrain.losses.registry import caution_about
from tests.losses.fixtures import certain, fixture_m, gradient_of, random_sample


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-12)


class TestMarginal:
    def test_where_all_is_marked_it_is_cross_entropy(self):
        sample = random_sample("multiclass")
        assert value("marginal_ce", sample) == value("ce", sample)

    def test_it_is_cross_entropy_of_fewer_classes(self):
        logits, target = random_sample("multiclass")
        merged = torch.stack([logits[:, [0, 1]].logsumexp(1), logits[:, 2]], 1)
        expected = F.cross_entropy(merged, (target == 2).long())
        assert value("marginal_ce", (logits, target), unlabelled=[1]) == same(expected.item())

    def test_background_may_be_answered_with_an_unmarked_class(self):
        target = torch.tensor([[[0, 1]]])
        hidden = certain("multiclass", torch.tensor([[[2, 1]]]))
        assert value("marginal_ce", (hidden, target), unlabelled=[2]) < 1e-12
        assert value("marginal_ce", (hidden, target), unlabelled=[]) > 20

    def test_with_every_class_unmarked_nothing_can_be_wrong(self):
        logits, target = random_sample("multiclass")
        assert value("marginal_ce", (logits, target), unlabelled=[1, 2]) == pytest.approx(0, abs=1e-12)

    def test_a_certain_error_keeps_its_gradient_in_float32(self):
        logits = certain("multiclass", torch.tensor([[[1, 1]]]), margin=60).float()
        gradient = gradient_of(build_loss("marginal_ce", unlabelled=[2]), logits, torch.tensor([[[0, 1]]]))
        assert gradient[0, 1, 0, 0] > 0.1

    @pytest.mark.parametrize("weighted", [False, True])
    def test_a_mask_leaves_the_loss_of_the_other_voxels(self, weighted):
        options = {"unlabelled": [2]} | ({"class_weights": (1, 2, 3)} if weighted else {})
        logits, target = random_sample("multiclass", samples=1, space=(4, 6))
        mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
        kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
        assert value("marginal_ce", (logits, target), mask=mask, **options) == same(
            value("marginal_ce", kept, **options)
        )

    def test_its_gradient_is_that_of_its_value(self):
        logits, target = random_sample("multiclass", space=(2, 3))
        loss = build_loss("marginal_ce", unlabelled=[2], class_weights=(1, 2, 3))
        assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits.requires_grad_(),), eps=1e-6, atol=1e-5)

    def test_background_and_classes_that_are_not_there_are_refused(self):
        with pytest.raises(ConfigError, match="unlabelled"):
            build_loss("marginal_ce", unlabelled=[0])
        with pytest.raises(ValueError, match="unlabelled names class 3, but there are 3 channels"):
            value("marginal_ce", fixture_m(), unlabelled=[1, 3])


class TestExclusion:
    def test_it_is_the_dice_of_answer_and_the_other_structures(self):
        logits, target = random_sample("multiclass", samples=1)
        p = logits.softmax(1)
        costs = []
        for c, other in ((1, 2), (2, 1)):
            forbidden = (target == other).double()
            costs.append(2 * (p[:, c] * forbidden).sum() / (p[:, c].sum() + forbidden.sum()))
        assert value("exclusion", (logits, target), smooth=0) == same(sum(costs).item() / 2)

    def test_background_everywhere_costs_nothing_and_it_says_so(self):
        _, target = random_sample("multiclass")
        assert value("exclusion", (certain("multiclass", torch.zeros_like(target)), target)) < 1e-12
        assert "marginal_ce" in caution_about("exclusion")

    def test_in_unmarked_voxels_it_rather_wants_a_structure_than_background(self):
        logits, target = random_sample("multiclass")
        gradient = gradient_of(build_loss("exclusion"), logits, target)
        assert (gradient[:, 0][target == 0] >= 0).all()

    def test_class_weights_average_the_classes(self):
        sample = random_sample("multiclass")
        first, second = (value("exclusion", sample, class_weights=w) for w in ((0, 1, 0), (0, 0, 1)))
        assert value("exclusion", sample, class_weights=(5, 1, 3)) == same((first + 3 * second) / 4)

    def test_of_a_batch_it_is_the_mean_of_the_samples(self):
        logits, target = random_sample("multiclass")
        alone = [value("exclusion", (logits[i : i + 1], target[i : i + 1])) for i in range(2)]
        assert value("exclusion", (logits, target)) == same(sum(alone) / 2)

    def test_a_sample_without_a_valid_voxel_leaves_the_mean(self):
        logits, target = random_sample("multiclass")
        mask = torch.ones(2, 3, 4, 2)
        mask[1] = 0
        assert value("exclusion", (logits, target), mask=mask) == same(value("exclusion", (logits[:1], target[:1])))
