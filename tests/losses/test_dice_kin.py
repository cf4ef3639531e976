import itertools
import math

import pytest
import torch

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from segtrain.losses.dice_kin import log_dice_cost
from segtrain.losses.overlap import Counts
from tests.losses.fixtures import double, gradient_of, hard_answer, random_sample

MODES = ["multiclass", "binary", "multilabel"]
OF_EVERY_MODE = ["dice_pp", "focal_dice", "log_dice", "nr_dice", "sensitivity_specificity"]
CASES = [*((name, mode) for name in OF_EVERY_MODE for mode in MODES), ("tvmf_dice", "multiclass")]
every_mode = pytest.mark.parametrize("mode", MODES)
every_case = pytest.mark.parametrize(("name", "mode"), CASES)


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def counts_of(tp, fp, fn):
    tp, fp, fn = (double([[n]]) for n in (tp, fp, fn))
    return Counts(tp, fp, fn, tp + fn, tp + fp + fn)


@every_case
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


@pytest.mark.parametrize("name", [*OF_EVERY_MODE, "tvmf_dice"])
def test_renaming_the_classes_changes_nothing_where_all_are_scored(name):
    logits, target = random_sample("multiclass")
    order = torch.tensor([2, 0, 1])
    renamed = (logits[:, order], order.argsort()[target])
    weights = (1.0, 2.0, 3.0)
    own = value(name, (logits, target), include_background=True, class_weights=weights)
    again = tuple(weights[i] for i in order)
    assert value(name, renamed, include_background=True, class_weights=again) == same(own)


@every_case
def test_a_class_that_is_neither_there_nor_answered_costs_nothing(name, mode):
    logits, target = random_sample(mode)
    if mode == "multiclass":
        target = target.clamp_max(1)
        logits[:, 2] = -1e4
        weights = (0, 0, 1)
    else:
        target, logits = torch.zeros_like(target), torch.full_like(logits, -1e4)
        weights = (1,) * logits.shape[1]
    for smooth in (0, 1e-5, 1):
        assert value(name, (logits, target), class_weights=weights, smooth=smooth) == 0


class TestLogDice:
    def test_of_one_object_it_is_the_logarithm_of_dice(self):
        sample = random_sample("binary", samples=1)
        assert value("log_dice", sample) == same(-math.log(1 - value("dice", sample)))

    def test_it_is_taken_of_each_class_before_the_mean(self):
        logits, target = random_sample("multilabel", samples=1)
        alone = [value("log_dice", (logits[:, c : c + 1], target[:, c : c + 1])) for c in range(2)]
        assert value("log_dice", (logits, target)) == same(sum(alone) / 2)

    def test_near_the_end_it_is_the_cost_of_dice_to_the_last_digits(self):
        assert log_dice_cost(counts_of(8, 1e-30, 0), 0, 1e-7).item() == pytest.approx(1e-30 / 16, rel=1e-9)

    def test_below_eps_it_goes_on_as_a_tangent(self):
        eps = 0.01
        above, below = (log_dice_cost(counts_of(tp, 1, 1), 0, eps).item() for tp in (0.010102, 0.010101))
        assert above == pytest.approx(below, abs=1e-3)
        assert log_dice_cost(counts_of(0, 1, 1), 0, eps).item() == pytest.approx(1 - math.log(eps))

    @pytest.mark.parametrize("margin", [20, 40, 1e4])
    def test_a_lost_object_keeps_a_bounded_gradient(self, margin):
        logits, target = hard_answer(fn=5, fp=3, margin=margin)
        gradient = gradient_of(build_loss("log_dice", smooth=0), logits, target)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() <= 1


class TestFocalDice:
    @every_mode
    def test_to_the_power_one_it_is_dice(self, mode):
        sample = random_sample(mode)
        assert value("focal_dice", sample, beta=1) == same(value("dice", sample))

    def test_the_worse_class_pulls_harder_as_beta_rises(self):
        better, worse = hard_answer(tp=8, fp=1, fn=1, margin=2), hard_answer(tp=1, fp=8, fn=1, margin=2)
        both = tuple(torch.cat(pair, 1) for pair in zip(better, worse, strict=True))
        ratios = []
        for beta in (1, 2, 4):
            gradient = gradient_of(build_loss("focal_dice", "multilabel", beta=beta), *both).abs().sum((0, 2, 3))
            ratios.append((gradient[1] / gradient[0]).item())
        assert all(later > earlier for earlier, later in itertools.pairwise(ratios))

    def test_a_power_above_one_is_refused(self):
        with pytest.raises(ConfigError, match="beta"):
            build_loss("focal_dice", beta=0.5)


class TestPowersOfErrors:
    @every_mode
    def test_dice_pp_is_dice_and_squared_dice_at_its_ends(self, mode):
        sample = random_sample(mode)
        assert value("dice_pp", sample, gamma=1) == same(value("dice", sample))
        assert value("dice_pp", sample, gamma=2) == same(value("dice_squared", sample))

    @every_mode
    def test_nr_dice_to_the_power_two_is_squared_dice(self, mode):
        sample = random_sample(mode)
        assert value("nr_dice", sample, gamma=2) == same(value("dice_squared", sample))

    def test_nr_dice_is_its_equation(self):
        logits, target = random_sample("binary", samples=1)
        p, g = logits.sigmoid(), target.double()
        expected = (p - g).abs().pow(1.3).sum() / ((p**2).sum() + (g**2).sum() + 0.5)
        assert value("nr_dice", (logits, target), gamma=1.3, smooth=0.5) == same(expected.item())

    def test_the_smaller_the_power_the_less_a_wrong_label_pulls(self):
        logits, target = hard_answer(tp=5, fn=1, tn=4, margin=2)
        shares = []
        for gamma in (1, 1.5, 2):
            gradient = gradient_of(build_loss("nr_dice", gamma=gamma), logits, target).abs().flatten()
            shares.append((gradient[5] / gradient.sum()).item())
        assert all(later > earlier for earlier, later in itertools.pairwise(shares))


class TestSensitivitySpecificity:
    def test_it_is_its_equation(self):
        logits, target = random_sample("binary", samples=1)
        errors = (target.double() - logits.sigmoid()) ** 2
        expected = 0.2 * errors[target].mean() + 0.8 * errors[~target].mean()
        assert value("sensitivity_specificity", (logits, target), r=0.2, smooth=0) == same(expected.item())

    def test_r_is_the_price_of_what_is_missed(self):
        missed, invented = hard_answer(tp=5, fn=5, tn=10), hard_answer(tp=10, fp=5, tn=5)
        assert value("sensitivity_specificity", missed, r=0.3) == pytest.approx(0.15, abs=1e-6)
        assert value("sensitivity_specificity", invented, r=0.3) == pytest.approx(0.35, abs=1e-6)

    @pytest.mark.parametrize("r", [0, 1])
    def test_a_side_without_weight_is_refused(self, r):
        with pytest.raises(ConfigError, match="r"):
            build_loss("sensitivity_specificity", r=r)


class TestTvmf:
    def test_with_kappa_zero_it_is_the_squared_distance_by_the_cosine(self):
        logits, target = random_sample("multiclass", samples=1)
        p, g = logits.softmax(1).flatten(2), torch.nn.functional.one_hot(target.flatten(1), 3).movedim(-1, 1).double()
        cosine = torch.cosine_similarity(p, g, dim=-1)
        assert value("tvmf_dice", (logits, target), kappa=0, smooth=0) == same(((1 - cosine) ** 2).mean().item())

    def test_it_rises_with_kappa(self):
        sample = random_sample("multiclass")
        values = [value("tvmf_dice", sample, kappa=k) for k in (0, 1, 8, 32, 128)]
        assert all(later > earlier for earlier, later in itertools.pairwise(values))
        assert values[-1] < 4

    def test_without_smoothing_the_size_of_the_probabilities_does_not_matter(self):
        target = torch.tensor([[[0, 0, 1, 2]]])
        labels = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
        options = {"include_background": False, "smooth": 0}
        for share in (0.01, 0.3):
            p = labels.clone()
            p[:, 1:] *= share
            p[:, 0] = 1 - p[:, 1:].sum(1)
            assert value("tvmf_dice", (p.clamp_min(1e-300).log(), target), **options) < 1e-12
            assert value("tvmf_dice", (p.clamp_min(1e-300).log(), target), smooth=0) > 0.1


@pytest.mark.parametrize("name", ["dice_squared", "nr_dice", "dice_pp"])
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_an_answer_that_is_a_soft_label_costs_nothing(name, mode):
    logits, _ = random_sample(mode)
    assert build_loss(name, mode, smooth=0)(logits, logits.sigmoid()).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("name", ["dice_squared", "nr_dice", "sensitivity_specificity"])
def test_of_soft_labels_it_is_the_formula_of_the_card(name, mode):
    logits, target = random_sample(mode)
    p, g = logits.sigmoid().flatten(2), torch.where(target, 0.8, 0.3).double().flatten(2)
    errors, hits, squares = (p - g).abs(), (p * g).sum(-1), (p**2).sum(-1) + (g**2).sum(-1)
    missed, invented = (errors**2 * g).sum(-1) / g.sum(-1), (errors**2 * (1 - g)).sum(-1) / (1 - g).sum(-1)
    expected = {
        "dice_squared": 1 - 2 * hits / squares,
        "nr_dice": (errors**1.5).sum(-1) / squares,
        "sensitivity_specificity": 0.05 * missed + 0.95 * invented,
    }[name].mean()
    assert value(name, (logits, g.view(logits.shape)), smooth=0) == pytest.approx(expected.item(), rel=1e-10)
