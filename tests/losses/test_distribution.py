import itertools

import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss
from segtrain.losses.entropy import Certainty, FocalEntropy
from tests.losses.fixtures import double, fixture_b, fixture_m, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
CLASS_WEIGHTS = {"multiclass": (1.0, 2.0, 3.0), "binary": (2.0,), "multilabel": (1.0, 2.0)}


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-12)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_cross_entropy_is_torchs(weights):
    logits, target = random_sample("multiclass")
    expected = F.cross_entropy(logits, target, None if weights is None else double(weights))
    assert value("ce", (logits, target), class_weights=weights) == same(expected.item())


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_an_ignored_label_is_left_out_of_the_divisor_as_in_torch(weights):
    logits, target = random_sample("multiclass")
    target = target.masked_fill(target == 2, 255)
    expected = F.cross_entropy(logits, target, None if weights is None else double(weights), ignore_index=255)
    assert value("ce", (logits, target), ignore_label=255, class_weights=weights) == same(expected.item())


def test_label_smoothing_is_torchs():
    logits, target = random_sample("multiclass")
    expected = F.cross_entropy(logits, target, label_smoothing=0.2)
    assert value("ce", (logits, target), label_smoothing=0.2) == same(expected.item())


def test_label_smoothing_of_a_sigmoid_moves_its_target():
    logits, target = random_sample("multilabel")
    expected = F.binary_cross_entropy_with_logits(logits, target.double() * 0.8 + 0.1)
    assert value("ce", (logits, target), label_smoothing=0.2) == same(expected.item())


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_the_weight_of_the_foreground_is_torchs(mode):
    logits, target = random_sample(mode)
    expected = F.binary_cross_entropy_with_logits(logits, target.double(), pos_weight=double([3])[0])
    assert value("bce", (logits, target), pos_weight=3) == same(expected.item())


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_under_sigmoids_ce_is_bce(mode):
    sample = random_sample(mode)
    assert value("ce", sample) == value("bce", sample)


@every_mode
@pytest.mark.parametrize("name", ["ce", "focal"])
def test_class_weights_of_one_change_nothing_and_their_scale_never_matters(name, mode):
    sample = random_sample(mode)
    weights = CLASS_WEIGHTS[mode]
    assert value(name, sample, class_weights=[1.0] * len(weights)) == same(value(name, sample))
    weighted = value(name, sample, class_weights=weights)
    assert value(name, sample, class_weights=[7 * w for w in weights]) == pytest.approx(weighted, rel=1e-6)


def test_a_class_of_weight_zero_pulls_at_no_logit_of_its_voxels():
    logits, target = fixture_m()
    gradient = gradient_of(build_loss("ce", class_weights=(1, 0, 1)), logits, target)
    assert not gradient.movedim(1, -1)[target == 1].any()


class TestWeighted:
    def test_it_is_cross_entropy_with_class_weights(self):
        logits, target = random_sample("multiclass")
        expected = F.cross_entropy(logits, target, double([1, 2, 3]))
        assert value("weighted_ce", (logits, target), class_weights=(1, 2, 3)) == same(expected.item())

    def test_without_weights_it_is_cross_entropy(self):
        sample = random_sample("multiclass")
        assert value("weighted_ce", sample) == value("ce", sample)


class TestBalanced:
    @pytest.mark.parametrize("mode", ["binary", "multilabel"])
    def test_it_is_focal_without_focus(self, mode):
        sample = random_sample(mode)
        assert value("balanced_bce", sample, beta=0.7) == same(value("focal", sample, gamma=0, alpha=0.7))
        assert value("balanced_bce", sample) == same(value("bce", sample) / 2)

    @pytest.mark.parametrize("name", ["bce", "balanced_bce"])
    def test_a_half_member_costs_both_parts_at_their_prices(self, name):
        logits, _ = random_sample("binary")
        members = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        inside, outside = {"bce": (3, 1), "balanced_bce": (0.7, 0.3)}[name]
        options = {"bce": {"pos_weight": 3}, "balanced_bce": {"beta": 0.7}}[name]
        costs = inside * members * F.logsigmoid(logits) + outside * (1 - members) * F.logsigmoid(-logits)
        assert value(name, (logits, members), **options) == same(-costs.mean().item())

    @pytest.mark.parametrize("beta", [0, 1])
    def test_a_side_without_weight_is_refused(self, beta):
        with pytest.raises(ConfigError, match="beta"):
            build_loss("balanced_bce", beta=beta)


class TestFocal:
    @every_mode
    def test_without_focus_and_weight_it_is_cross_entropy(self, mode):
        sample = random_sample(mode)
        assert value("focal", sample, gamma=0, alpha=None) == same(value("ce", sample))

    def test_without_focus_alpha_balances_the_cross_entropy(self):
        logits, target = random_sample("binary")
        log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
        expected = -torch.where(target, 0.7 * log_p, 0.3 * log_q).mean()
        assert value("focal", (logits, target), gamma=0, alpha=0.7) == same(expected.item())

    @every_mode
    def test_even_alpha_is_half_of_none(self, mode):
        sample = random_sample(mode)
        assert value("focal", sample, alpha=0.5) == same(value("focal", sample, alpha=None) / 2)

    @every_mode
    def test_it_falls_as_gamma_rises_and_never_exceeds_cross_entropy(self, mode):
        sample = random_sample(mode)
        values = [value("focal", sample, alpha=None, gamma=g) for g in (0, 0.5, 1, 2, 5)]
        assert all(later < earlier for earlier, later in itertools.pairwise(values))
        assert values[0] == same(value("ce", sample))

    def test_a_number_as_alpha_weighs_all_foreground_classes_alike(self):
        sample = fixture_m()
        assert value("focal", sample, alpha=0.25) == same(value("focal", sample, alpha=(0.75, 0.25, 0.25)))

    @pytest.mark.parametrize(("sample", "alpha"), [(fixture_b(), (0.5, 0.5)), (fixture_m(), (0.5, 0.5))])
    def test_a_list_as_alpha_needs_a_number_for_each_exclusive_class(self, sample, alpha):
        with pytest.raises(ValueError, match="a list as alpha needs exclusive classes"):
            value("focal", sample, alpha=alpha)

    @pytest.mark.parametrize("gamma", [0, 0.3, 1, 2])
    def test_a_voxel_that_is_certain_and_right_has_a_finite_slope(self, gamma):
        cross_entropy = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(FocalEntropy(gamma).value(Certainty.of(cross_entropy)).sum(), cross_entropy)
        assert torch.isfinite(slope).all()

    def test_the_factor_keeps_its_digits_where_one_minus_p_would_not(self):
        cross_entropy = double([1e-12])
        assert FocalEntropy(2).value(Certainty.of(cross_entropy)).item() == pytest.approx(1e-36, rel=1e-9)


@every_mode
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ce", {"label_smoothing": 0.1}),
        ("focal", {"gamma": 0.5, "alpha": 0.8}),
        ("ce", {"class_weights": True}),
    ],
)
def test_with_any_option_a_mask_leaves_the_loss_of_the_other_voxels(name, options, mode):
    if "class_weights" in options:
        options = {"class_weights": CLASS_WEIGHTS[mode]}
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


@pytest.mark.parametrize("masked", [False, True])
def test_label_smoothing_with_class_weights_is_torchs(masked):
    logits, target = random_sample("multiclass")
    weights = (1.0, 2.0, 0.5)
    if masked:
        target[:, 0] = 255
    expected = F.cross_entropy(logits, target, double(weights), ignore_index=255, label_smoothing=0.2)
    found = value("ce", (logits, target), label_smoothing=0.2, class_weights=weights, ignore_label=255)
    assert found == same(expected.item())


def test_smoothed_labels_have_another_optimum_and_leave_some_of_the_truth():
    assert build_loss("ce").optimum == 0
    assert build_loss("ce", label_smoothing=0.1).optimum is None
    assert build_loss("dice_ce", ce={"label_smoothing": 0.1}).optimum is None
    with pytest.raises(ConfigError, match="label_smoothing"):
        build_loss("ce", label_smoothing=1)


@pytest.mark.parametrize("name", ["bce", "balanced_bce"])
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_the_two_parts_of_a_soft_label_have_their_prices(name, mode):
    logits, target = random_sample(mode)
    soft = torch.where(target, 0.8, 0.3).double()
    options, prices = ({"pos_weight": 3}, (3, 1)) if name == "bce" else ({"beta": 0.7}, (0.7, 0.3))
    p = logits.sigmoid()
    expected = -(prices[0] * soft * p.log() + prices[1] * (1 - soft) * (1 - p).log()).mean()
    assert value(name, (logits, soft), **options) == same(expected.item())
