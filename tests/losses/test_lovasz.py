import itertools

import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.lovasz import lovasz_extension
from tests.losses.fixtures import double, fixture_b, fixture_m, gradient_of, hard_answer, random_sample

NAMES = ["lovasz_hinge", "lovasz_softmax"]
HARD = [
    {"tp": 6, "fp": 2, "fn": 3, "tn": 9},
    {"tp": 1, "fn": 5},
    {"tp": 4, "fp": 4},
    {"fp": 2, "fn": 2},
    {"tp": 3, "tn": 1},
]


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11, abs=1e-12)


def jaccard_loss(tp=0, fp=0, fn=0, tn=0):
    return 1 - tp / (tp + fp + fn)


def as_a_sum_over_thresholds(errors, members):
    """The extension by its definition: the set function of {errors >= t}, integrated over t."""
    levels = sorted({0.0, *errors.clamp_min(0).tolist()})
    total = 0.0
    for low, high in itertools.pairwise(levels):
        wrong = errors >= high
        union = (members | wrong).sum().item()
        total += (high - low) * wrong.sum().item() / union
    return total


@pytest.mark.parametrize("seed", range(5))
def test_the_extension_is_the_integral_of_the_set_function(seed):
    random = torch.Generator().manual_seed(seed)
    errors = torch.randn(1, 12, generator=random, dtype=torch.float64)
    members = torch.rand(1, 12, generator=random) < 0.4
    assert lovasz_extension(errors, members).item() == same(as_a_sum_over_thresholds(errors[0], members[0]))


def test_rows_do_not_see_each_other():
    random = torch.Generator().manual_seed(0)
    errors = torch.rand(3, 7, generator=random, dtype=torch.float64)
    members = torch.rand(3, 7, generator=random) < 0.5
    alone = torch.cat([lovasz_extension(errors[i : i + 1], members[i : i + 1]) for i in range(3)])
    assert torch.equal(lovasz_extension(errors, members), alone)


@pytest.mark.parametrize("size", [0, 3, 6])
def test_errors_that_are_all_alike_cost_just_that(size):
    members = torch.arange(6).unsqueeze(0) < size
    assert lovasz_extension(torch.full((1, 6), 0.3, dtype=torch.float64), members).item() == same(0.3)


def test_without_a_member_the_largest_error_is_the_cost():
    assert lovasz_extension(double([[0.1, 0.7, 0.2]]), torch.zeros(1, 3, dtype=torch.bool)).item() == same(0.7)


def test_many_voxels_in_float32_keep_five_digits():
    random = torch.Generator().manual_seed(0)
    errors = torch.rand(1, 2 * 10**5, generator=random)
    members = torch.rand(1, 2 * 10**5, generator=random) < 1e-4
    exact = lovasz_extension(errors.double(), members)
    assert lovasz_extension(errors, members).item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("counts", HARD)
def test_of_hard_answers_it_is_the_jaccard_loss(counts):
    sample = hard_answer(**counts, margin=60)
    assert value("lovasz_softmax", sample) == same(jaccard_loss(**counts))
    assert value("iou", sample, smooth=0) == same(jaccard_loss(**counts))


@pytest.mark.parametrize("margin", [1, 2.5, 30])
@pytest.mark.parametrize("counts", HARD)
def test_the_hinge_of_hard_answers_grows_with_the_margin(counts, margin):
    found = value("lovasz_hinge", hard_answer(**counts, margin=margin))
    assert found == same((1 + margin) * jaccard_loss(**counts))


def test_the_hinge_of_an_undecided_answer_is_one():
    assert value("lovasz_hinge", (torch.zeros(1, 1, 2, 3), fixture_b()[1])) == 1


def test_the_hinge_has_no_gradient_once_every_margin_is_one():
    logits, target = hard_answer(tp=3, tn=4, margin=1.01)
    assert not gradient_of(build_loss("lovasz_hinge"), logits, target).any()


@pytest.mark.parametrize("name", NAMES)
def test_per_image_is_the_mean_of_the_images(name):
    logits, target = random_sample("binary")
    alone = [value(name, (logits[i : i + 1], target[i : i + 1])) for i in range(2)]
    assert value(name, (logits, target), per_image=True) == same(sum(alone) / 2)


@pytest.mark.parametrize("name", NAMES)
def test_over_the_batch_it_is_one_large_image(name):
    logits, target = random_sample("multilabel")
    large = tuple(torch.cat(list(t), -1).unsqueeze(0) for t in (logits, target))
    assert value(name, (logits, target), per_image=False) == same(value(name, large))


def test_the_defaults_are_per_image_for_the_hinge_and_the_batch_for_the_softmax():
    assert build_loss("lovasz_hinge").per_image
    assert not build_loss("lovasz_softmax").per_image


class TestClasses:
    LOGITS, TARGET = fixture_m()[0], torch.tensor([[[0, 1], [1, 1]]])

    def test_those_that_are_absent_are_left_out(self):
        listed = value("lovasz_softmax", (self.LOGITS, self.TARGET), classes=(0, 1))
        assert value("lovasz_softmax", (self.LOGITS, self.TARGET)) == same(listed)

    def test_all_of_them_add_the_largest_probability_of_an_absent_one(self):
        present = value("lovasz_softmax", (self.LOGITS, self.TARGET))
        largest = self.LOGITS.softmax(1)[:, 2].max().item()
        found = value("lovasz_softmax", (self.LOGITS, self.TARGET), classes="all")
        assert found == same((2 * present + largest) / 3)

    def test_presence_is_looked_up_in_each_image_where_each_is_scored(self):
        logits, target = fixture_m()
        both = (torch.cat([logits, self.LOGITS]), torch.cat([target, self.TARGET]))
        rows = [value("lovasz_softmax", (logits, target), classes=(c,)) for c in range(3)]
        rows += [value("lovasz_softmax", (self.LOGITS, self.TARGET), classes=(c,)) for c in range(2)]
        assert value("lovasz_softmax", both, per_image=True) == same(sum(rows) / 5)

    def test_one_that_does_not_exist_is_refused(self):
        with pytest.raises(ValueError, match="but there are 3 output channels"):
            value("lovasz_softmax", fixture_m(), classes=(3,))

    def test_an_empty_target_with_one_sigmoid_costs_nothing_and_stays_in_the_graph(self):
        logits, target = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2)
        assert value("lovasz_softmax", (logits, target)) == 0
        assert not gradient_of(build_loss("lovasz_softmax"), logits, target).any()

    @pytest.mark.parametrize("name", NAMES)
    def test_class_weights_weigh_the_rows(self, name):
        logits, target = random_sample("multilabel")
        rows = [value(name, (logits[:, c : c + 1], target[:, c : c + 1])) for c in range(2)]
        assert value(name, (logits, target), class_weights=(1, 3)) == same((rows[0] + 3 * rows[1]) / 4)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("per_image", [True, False])
def test_with_any_option_a_mask_leaves_the_loss_of_the_other_voxels(name, mode, per_image):
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    options = {"per_image": per_image}
    assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("per_image", [True, False])
def test_an_image_without_a_valid_voxel_leaves_the_mean(name, per_image):
    logits, target = random_sample("binary")
    mask = torch.ones(2, 3, 4, 2)
    mask[1] = 0
    alone = value(name, (logits[:1], target[:1]))
    assert value(name, (logits, target), mask=mask, per_image=per_image) == same(alone)


def test_the_hinge_cuts_soft_membership_at_one_half():
    logits, target = random_sample("binary")
    soft = torch.where(target, 0.8, 0.3)
    assert value("lovasz_hinge", (logits, soft)) == value("lovasz_hinge", (logits, target))


def test_probabilities_equal_to_a_soft_membership_cost_nothing():
    logits, _ = random_sample("binary")
    assert value("lovasz_softmax", (logits, logits.sigmoid())) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("per_image", [True, False])
class TestWeightMap:
    @staticmethod
    def both(name, dtype, per_image, weights, mask=None):
        logits, target = random_sample("multilabel", dtype=dtype)
        loss = build_loss(name, per_image=per_image)
        return [loss(logits, target, mask, weight_map=weight).item() for weight in weights]

    def test_it_multiplies_errors_by_the_weight_over_the_mean_weight(self, name, dtype, per_image):
        weight = 0.1 + torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        one, scaled = self.both(name, dtype, per_image, (weight, 7 * weight))
        assert scaled == pytest.approx(one, rel=1e-5)

    def test_beside_a_mask_it_is_finite(self, name, dtype, per_image):
        mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(2)) > 0.5
        (found,) = self.both(name, dtype, per_image, (mask.double(),), mask)
        (expected,) = self.both(name, dtype, per_image, (None,), mask)
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_row_with_an_error_that_is_no_number_costs_none():
    errors = torch.rand(2, 9, generator=torch.Generator().manual_seed(0))
    errors[1, 4] = torch.nan
    for dtype in (torch.float32, torch.float64):
        values = lovasz_extension(errors.to(dtype), torch.arange(9).expand(2, 9) < 4)
        assert values.isnan().tolist() == [False, True]
