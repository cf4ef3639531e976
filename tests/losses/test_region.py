import itertools
import math

import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.registry import supported_modes
from tests.losses.fixtures import double, fixture_b2, fixture_m, gradient_of, hard_answer, random_sample

MODES = ["multiclass", "binary", "multilabel"]
REGION = ["asymmetric_similarity", "dice", "dice_squared", "focal_tversky", "iou", "log_cosh_dice", "mcc", "tversky"]
every_mode = pytest.mark.parametrize("mode", MODES)
every_loss = pytest.mark.parametrize("name", REGION)


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def one_object(seed):
    return random_sample("binary", samples=1, seed=seed)


@every_mode
@pytest.mark.parametrize("smooth", [0, 1e-5, 1, 10])
class TestOneFamily:
    def test_even_tversky_is_dice_with_twice_the_smoothing(self, mode, smooth):
        sample = random_sample(mode)
        even = value("tversky", sample, fp_weight=0.5, fn_weight=0.5, smooth=smooth)
        assert even == same(value("dice", sample, smooth=2 * smooth))

    def test_tversky_with_full_prices_is_iou(self, mode, smooth):
        sample = random_sample(mode)
        assert value("tversky", sample, fp_weight=1, fn_weight=1, smooth=smooth) == same(
            value("iou", sample, smooth=smooth)
        )

    def test_the_asymmetric_similarity_of_one_is_dice(self, mode, smooth):
        sample = random_sample(mode)
        assert value("asymmetric_similarity", sample, beta=1, smooth=smooth) == same(
            value("dice", sample, smooth=2 * smooth)
        )

    def test_focal_tversky_to_the_power_one_is_tversky(self, mode, smooth):
        sample = random_sample(mode)
        assert value("focal_tversky", sample, exponent=1, smooth=smooth) == same(
            value("tversky", sample, smooth=smooth)
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("smooth", [0, 1])
def test_of_one_object_iou_follows_from_dice_and_lies_between_it_and_its_double(seed, smooth):
    dice, iou = value("dice", one_object(seed), smooth=2 * smooth), value("iou", one_object(seed), smooth=smooth)
    assert iou == same(2 * dice / (1 + dice))
    assert dice <= iou <= 2 * dice


@pytest.mark.parametrize(
    ("name", "of_dice"), [("log_cosh_dice", lambda d: math.log(math.cosh(d))), ("dice", lambda d: d)]
)
def test_log_cosh_is_taken_of_each_sample_before_the_mean(name, of_dice):
    first, second = one_object(0), one_object(1)
    both = tuple(torch.cat(pair) for pair in zip(first, second, strict=True))
    expected = (of_dice(value("dice", first)) + of_dice(value("dice", second))) / 2
    assert value(name, both) == same(expected)


@every_loss
@every_mode
class TestOfABatch:
    def test_a_score_for_each_sample_is_averaged(self, name, mode):
        logits, target = random_sample(mode)
        alone = [value(name, (logits[i : i + 1], target[i : i + 1])) for i in range(2)]
        assert value(name, (logits, target)) == same(sum(alone) / 2)

    def test_a_pooled_batch_is_one_large_sample(self, name, mode):
        logits, target = random_sample(mode)
        large = (torch.cat(list(t), -1).unsqueeze(0) for t in (logits, target))
        assert value(name, (logits, target), reduce_over="batch") == same(value(name, tuple(large)))

    def test_voxels_seen_twice_change_nothing_without_smoothing(self, name, mode):
        logits, target = random_sample(mode)
        twice = tuple(t.repeat_interleave(2, -1) for t in (logits, target))
        assert value(name, twice, smooth=0) == same(value(name, (logits, target), smooth=0))

    @pytest.mark.parametrize(
        ("reduce_over", "absent"), [("sample", "keep"), ("sample", "fp_only"), ("batch", "skip"), ("flat", "keep")]
    )
    def test_with_any_option_a_mask_leaves_the_loss_of_the_other_voxels(self, name, mode, reduce_over, absent):
        logits, target = random_sample(mode, samples=1, space=(4, 6))
        target[target == 1] = 0
        mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
        kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
        options = {"reduce_over": reduce_over, "absent": absent, "smooth": 1}
        assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


@every_loss
def test_renaming_the_classes_changes_nothing_where_all_are_scored(name):
    logits, target = random_sample("multiclass")
    order = torch.tensor([2, 0, 1])
    renamed = (logits[:, order], order.argsort()[target])
    weights = (1.0, 2.0, 3.0)
    own = value(name, (logits, target), include_background=True, class_weights=weights)
    again = tuple(weights[i] for i in order)
    assert value(name, renamed, include_background=True, class_weights=again) == same(own)


@every_loss
def test_class_weights_average_the_scores_of_the_classes(name):
    logits, target = random_sample("multilabel")
    alone = [value(name, (logits[:, c : c + 1], target[:, c : c + 1])) for c in range(2)]
    assert value(name, (logits, target), class_weights=(1, 3)) == same((alone[0] + 3 * alone[1]) / 4)


@every_loss
def test_the_background_is_scored_only_when_asked_for(name):
    logits, target = fixture_m()
    p, g = logits.softmax(1), torch.nn.functional.one_hot(target, 3).movedim(-1, 1).bool()
    alone = [value(name, (torch.logit(p[:, c : c + 1]), g[:, c : c + 1])) for c in range(3)]
    assert value(name, (logits, target)) == same(sum(alone[1:]) / 2)
    assert value(name, (logits, target), include_background=True) == same(sum(alone) / 3)


def test_flat_counts_are_pooled_over_batch_and_classes():
    logits, target = random_sample("multilabel")
    one = (logits.reshape(1, 1, 6, 16), target.reshape(1, 1, 6, 16))
    assert value("dice", (logits, target), reduce_over="flat") == same(value("dice", one))


class TestAnAbsentClass:
    SAMPLE = (double([[[[0.5, -1, 2]], [[3, -2, 1]]]]), torch.tensor([[[[False] * 3], [[True, False, False]]]]))

    def test_kept_it_costs_nearly_all_whatever_is_predicted(self):
        present = value("dice", (self.SAMPLE[0][:, 1:], self.SAMPLE[1][:, 1:]))
        assert value("dice", self.SAMPLE) == pytest.approx((1 + present) / 2, abs=1e-5)

    def test_kept_with_nothing_predicted_it_costs_nothing(self):
        logits = self.SAMPLE[0].clone()
        logits[:, 0] = -60
        present = value("dice", (self.SAMPLE[0][:, 1:], self.SAMPLE[1][:, 1:]))
        assert value("dice", (logits, self.SAMPLE[1])) == pytest.approx(present / 2, abs=1e-9)

    @every_loss
    def test_skipped_it_leaves_the_mean_and_the_gradient(self, name):
        logits, target = self.SAMPLE
        present = value(name, (logits[:, 1:], target[:, 1:]))
        assert value(name, self.SAMPLE, absent="skip") == same(present)
        gradient = gradient_of(build_loss(name, absent="skip"), logits, target)
        assert not gradient[:, 0].any()
        assert gradient[:, 1].any()

    @every_loss
    def test_counted_by_false_positives_it_costs_their_mean_probability_squared_where_errors_are(self, name):
        logits, target = self.SAMPLE
        present = value(name, (logits[:, 1:], target[:, 1:]))
        power = 2 if name == "dice_squared" else 1
        expected = ((logits[:, 0].sigmoid() ** power).mean().item() + present) / 2
        assert value(name, self.SAMPLE, absent="fp_only") == same(expected)
        assert (gradient_of(build_loss(name, absent="fp_only"), logits, target)[:, 0] > 0).all()

    @every_loss
    def test_where_all_are_absent_and_skipped_the_value_is_zero(self, name):
        logits, target = self.SAMPLE[0], torch.zeros(1, 2, 1, 3, dtype=torch.bool)
        assert value(name, (logits, target), absent="skip") == 0


class TestPrices:
    PRICES = (0.1, 0.3, 0.5, 0.7, 0.9)

    @pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
    def test_a_missed_voxel_costs_more_as_its_price_rises_and_an_invented_one_does_not(self, name):
        missed, invented = hard_answer(tp=10, fn=4, tn=9), hard_answer(tp=10, fp=4, tn=9)
        values = [value(name, missed, fn_weight=w) for w in self.PRICES]
        assert all(later > earlier for earlier, later in itertools.pairwise(values))
        for w in self.PRICES:
            assert value(name, invented, fn_weight=w) == same(value(name, invented))

    @pytest.mark.parametrize("name", ["tversky", "focal_tversky"])
    def test_an_invented_voxel_costs_more_as_its_price_rises_and_a_missed_one_does_not(self, name):
        missed, invented = hard_answer(tp=10, fn=4, tn=9), hard_answer(tp=10, fp=4, tn=9)
        values = [value(name, invented, fp_weight=w) for w in self.PRICES]
        assert all(later > earlier for earlier, later in itertools.pairwise(values))
        for w in self.PRICES:
            assert value(name, missed, fp_weight=w) == same(value(name, missed))

    @pytest.mark.parametrize("name", ["tversky", "focal_tversky", "asymmetric_similarity"])
    def test_by_default_missing_costs_more_than_inventing(self, name):
        missed, invented = hard_answer(tp=10, fn=4, tn=9), hard_answer(tp=14, fp=4, tn=5)
        assert value(name, missed) > value(name, invented)

    @pytest.mark.parametrize(("beta", "missing_costs_more"), [(0.5, False), (2, True)])
    def test_beta_above_one_favours_recall(self, beta, missing_costs_more):
        missed, invented = hard_answer(tp=10, fn=4), hard_answer(tp=10, fp=4)
        found = value("asymmetric_similarity", missed, beta=beta) > value("asymmetric_similarity", invented, beta=beta)
        assert found is missing_costs_more

    @pytest.mark.parametrize("name", ["dice", "dice_squared", "iou", "log_cosh_dice"])
    def test_the_even_losses_price_both_errors_alike(self, name):
        missed, invented = hard_answer(tp=10, fn=4, tn=9), hard_answer(tp=10, fp=4, tn=9)
        assert value(name, missed) == same(value(name, invented))


@pytest.mark.parametrize("exponent", [0.5, 0.75])
def test_a_solved_class_under_a_root_has_a_finite_gradient(exponent):
    logits, target = hard_answer(tp=3, tn=3, margin=1e4)
    loss = build_loss("focal_tversky", exponent=exponent, smooth=0)
    assert loss(logits, target) == 0
    assert torch.isfinite(gradient_of(loss, logits, target)).all()


class TestMatthews:
    def test_the_inverse_costs_two_and_an_even_guess_one(self):
        assert value("mcc", hard_answer(fp=6, fn=3)) == pytest.approx(2)
        assert value("mcc", hard_answer(tp=4, fp=4, fn=6, tn=6)) == pytest.approx(1)

    def test_it_is_the_textbook_coefficient(self):
        expected = 1 - (6 * 9 - 2 * 3) / math.sqrt(8 * 9 * 11 * 12)
        assert value("mcc", hard_answer(tp=6, fp=2, fn=3, tn=9)) == pytest.approx(expected, abs=1e-6)

    def test_naming_the_object_background_changes_nothing(self):
        logits, target = fixture_b2()
        assert value("mcc", (-logits, 1 - target)) == same(value("mcc", (logits, target)))

    def test_many_voxels_in_float32_keep_four_digits(self):
        logits, target = hard_answer(tp=60, fp=20, fn=30, tn=2 * 10**5)
        expected = value("mcc", (logits, target))
        assert value("mcc", (logits.float(), target)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", REGION)
def test_a_region_loss_is_defined_for_every_mode(name):
    assert set(supported_modes(name)) == set(MODES)
