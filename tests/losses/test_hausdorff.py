import math

import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.maps import SIGNED_DISTANCE
from tests.losses.fixtures import certain, gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
ON_DISTANCES = ["hausdorff_dt", "log_hausdorff_dt", "hausdorff_one_sided"]
every_mode = pytest.mark.parametrize("mode", MODES)


def value(name, sample, **options):
    return build_loss(name, **options)(*sample).item()


def rows(answer, truth):
    """A certain answer and the truth of one sample of one row, from text: # is foreground."""
    answer, truth = (torch.tensor([[[[mark == "#" for mark in row]]]]) for row in (answer, truth))
    return certain("binary", answer), truth


def masks():
    random = torch.Generator().manual_seed(0)
    return [torch.rand(1, 1, 6, 7, generator=random) < share for share in (0.3, 0.6)]


class TestTwoSided:
    def test_an_error_costs_the_squares_of_both_distances(self):
        found = value("hausdorff_dt", rows("##..##", "##...."))
        assert found * 6 == pytest.approx((3**2 + 1**2) + (4**2 + 2**2))

    @pytest.mark.parametrize("alpha", [1, 2, 3.5])
    def test_hard_masks_may_change_places(self, alpha):
        one, other = masks()
        there = value("hausdorff_dt", (certain("binary", one), other), alpha=alpha)
        back = value("hausdorff_dt", (certain("binary", other), one), alpha=alpha)
        assert there == pytest.approx(back, rel=1e-9)

    def test_the_logarithm_is_of_one_plus_the_value(self):
        sample = random_sample("multiclass")
        assert value("log_hausdorff_dt", sample) == pytest.approx(math.log(1 + value("hausdorff_dt", sample)), rel=1e-9)

    def test_all_foreground_on_an_empty_truth_costs_and_is_pushed_back(self):
        loss, empty = build_loss("hausdorff_dt"), torch.zeros(1, 1, 5, 6, dtype=torch.bool)
        logits = torch.full((1, 1, 5, 6), 0.2, dtype=torch.float64)
        assert loss(logits, empty) > 0.3
        assert (gradient_of(loss, logits, empty) > 0).all()

    def test_an_empty_answer_to_an_empty_truth_costs_nothing(self):
        logits = torch.full((1, 1, 5, 6), -0.2)
        assert build_loss("hausdorff_dt")(logits, torch.zeros(1, 1, 5, 6)) == 0

    def test_an_ignored_gap_is_no_border_of_the_answer(self):
        logits, truth = rows("######..", "##......")
        mask = torch.tensor([[[True, True, False, False, True, True, True, True]]])
        found = build_loss("hausdorff_dt")(logits, truth, mask).item()
        assert found * 6 == pytest.approx((3**2 + 2**2) + (4**2 + 1**2))


@pytest.mark.parametrize("name", ["hausdorff_dt", "hausdorff_one_sided"])
@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_it_grows_as_the_power_of_the_size_of_voxels(name, alpha):
    sample = random_sample("multiclass")
    small, large = (value(name, sample, alpha=alpha, spacing_mm=(s,) * 3) for s in (1, 2))
    assert large == pytest.approx(2**alpha * small, rel=1e-6)


def test_one_sided_does_not_look_where_the_answers_border_is():
    near, far = (value("hausdorff_one_sided", rows(answer, "##......")) for answer in ("###.....", "##.....#"))
    assert near * 8 == pytest.approx(1)
    assert far * 8 == pytest.approx(6**2)


def test_without_truth_one_sided_costs_nothing():
    logits, target = random_sample("binary")
    assert value("hausdorff_one_sided", (logits, torch.zeros_like(target))) == 0


@every_mode
@pytest.mark.parametrize("name", ON_DISTANCES)
def test_the_callers_distances_are_used(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, mode)
    ones = torch.ones_like(logits)
    assert loss(logits, target, maps={SIGNED_DISTANCE: ones}) == loss(logits, target, maps={SIGNED_DISTANCE: -ones})
    assert loss(logits, target, maps={SIGNED_DISTANCE: ones}) != loss(logits, target)
    if name == "hausdorff_one_sided":
        p = (logits.softmax(1) if mode == "multiclass" else logits.sigmoid())[:, int(mode == "multiclass") :]
        hot = target.unsqueeze(1) == torch.arange(1, 3).view(1, 2, 1, 1, 1) if mode == "multiclass" else target
        expected = (p - hot.double()).square().mean()
        assert loss(logits, target, maps={SIGNED_DISTANCE: ones}).item() == pytest.approx(expected.item(), rel=1e-9)


class TestErosion:
    @pytest.mark.parametrize(("width", "cost"), [(1, 0), (2, 4 * 385)])
    def test_a_thin_error_costs_nothing_and_a_small_block_is_never_worn_away(self, width, cost):
        target = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
        answer = target.clone()
        answer[..., 4 : 4 + width, 4 : 4 + width] = True
        found = value("hausdorff_er", (certain("binary", answer), target))
        assert found * 256 == pytest.approx(cost)  # 385 = 1 + 4 + 9 ... + 100

    def test_more_erosions_see_thicker_errors(self):
        logits, target = certain("binary", torch.ones(1, 1, 12, 12)), torch.zeros(1, 1, 12, 12, dtype=torch.bool)
        values = [value("hausdorff_er", (logits, target), erosions=k) for k in (1, 2, 4)]
        assert values == sorted(set(values))

    def test_an_undecided_answer_has_no_gradient(self):
        _, target = random_sample("binary")
        gradient = gradient_of(build_loss("hausdorff_er"), torch.zeros(2, 1, 3, 4, 2), target)
        assert not gradient.any()

    @every_mode
    def test_the_gradient_is_that_of_the_value(self, mode):
        logits, target = random_sample(mode, space=(4, 5))
        loss, logits = (
            build_loss("hausdorff_er", mode),
            (-2 * certain(mode, target, margin=1) + logits).requires_grad_(),
        )
        assert gradient_of(loss, logits, target).any()
        assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,), eps=1e-6, atol=1e-5)

    def test_an_ignored_voxel_is_no_error(self):
        logits, target = certain("binary", torch.ones(1, 1, 5, 5)), torch.zeros(1, 1, 5, 5, dtype=torch.bool)
        mask = torch.ones(1, 5, 5)
        mask[0, 1::2, ::2] = mask[0, ::2, 1::2] = 0
        assert build_loss("hausdorff_er")(logits, target, mask) == 0


class TestDiceHausdorff:
    @every_mode
    def test_both_parts_pull_as_if_they_were_alike(self, mode):
        logits, target = random_sample(mode)
        dice, hausdorff = value("dice", (logits, target)), value("hausdorff_dt", (logits, target))
        loss = build_loss("dice_hausdorff", mode)
        assert loss(logits, target).item() == pytest.approx(2 * hausdorff, rel=1e-12)
        of_dice, of_hausdorff = (gradient_of(build_loss(n, mode), logits, target) for n in ("dice", "hausdorff_dt"))
        expected = hausdorff / dice * of_dice + of_hausdorff
        assert torch.allclose(gradient_of(loss, logits, target), expected, rtol=1e-9, atol=1e-12)

    def test_weights_weigh_the_parts(self):
        sample = random_sample("binary")
        hausdorff = value("hausdorff_dt", sample)
        found = value("dice_hausdorff", sample, dice_weight=3, hausdorff_dt_weight=0.5)
        assert found == pytest.approx(3.5 * hausdorff, rel=1e-12)

    def test_more_dice_never_costs_more(self):
        logits, target = random_sample("binary")
        step = -1e-3 * gradient_of(build_loss("dice_hausdorff"), logits, target)
        assert value("dice", (logits + step, target)) < value("dice", (logits, target))
