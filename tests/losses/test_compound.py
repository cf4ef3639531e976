import itertools

import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.voxels import Reading, read
from tests.losses.fixtures import double, gradient_of, hard_answer, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
CLASS_WEIGHTS = {"multiclass": (1.0, 2.0, 3.0), "binary": (2.0,), "multilabel": (1.0, 2.0)}


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def sides_of(mode, logits, target):
    """-g log p and -(1 - g) log(1 - p) (B, C, N), each class against the rest."""
    p = (logits.softmax(1) if mode == "multiclass" else logits.sigmoid()).flatten(2)
    members = read(logits, target, None, Reading(mode)).membership
    return torch.where(members, -p.log(), 0.0), torch.where(members, 0.0, -(1 - p).log())


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_combo_of_cross_entropy_alone_is_half_of_bce(mode):
    sample = random_sample(mode)
    assert value("combo", sample, ce_share=1, fn_weight=0.5) == same(value("bce", sample) / 2)


@every_mode
def test_combo_without_cross_entropy_is_dice(mode):
    sample = random_sample(mode)
    assert value("combo", sample, ce_share=0) == value("dice", sample)


@every_mode
def test_combo_mixes_its_two_ends(mode):
    sample = random_sample(mode)
    ends = [value("combo", sample, ce_share=share) for share in (0, 1)]
    assert value("combo", sample, ce_share=0.3) == same(0.7 * ends[0] + 0.3 * ends[1])


@pytest.mark.parametrize("fn_weight", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_combo_prices_a_missed_voxel_against_an_invented_one_as_its_weight_says(fn_weight):
    missed, invented = hard_answer(fn=1, tn=1, margin=20), hard_answer(tp=1, fp=1, margin=20)
    options = {"ce_share": 1, "fn_weight": fn_weight}
    found = value("combo", missed, **options) / value("combo", invented, **options)
    assert found == pytest.approx(fn_weight / (1 - fn_weight), rel=1e-6)


def test_combo_rises_with_the_weight_only_where_something_is_missed():
    missed, invented = hard_answer(tp=2, fn=1, tn=3), hard_answer(tp=2, fp=1, tn=3)
    up, down = ([value("combo", s, fn_weight=w) for w in (0.1, 0.5, 0.9)] for s in (missed, invented))
    assert all(later > earlier for earlier, later in itertools.pairwise(up))
    assert all(later < earlier for earlier, later in itertools.pairwise(down))


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_gdice_focal_is_the_weighted_sum_of_its_parts(mode):
    sample = random_sample(mode)
    expected = 0.3 * value("generalized_dice", sample, weighting="simple") + 2 * value("focal", sample, gamma=1)
    options = {"generalized_dice": {"weighting": "simple"}, "focal": {"gamma": 1}}
    found = value("gdice_focal", sample, generalized_dice_weight=0.3, focal_weight=2, **options)
    assert found == same(expected)


@every_mode
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["combo", "dice_ce", "dice_focal", "dice_topk", "iou_ce", "tversky_ce", "lovasz_ce"])
def test_with_and_without_class_weights_a_mask_leaves_the_loss_of_the_other_voxels(name, mode, weighted):
    options = {"class_weights": CLASS_WEIGHTS[mode]} if weighted else {}
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, target)]
    assert value(name, (logits, target), mode, mask, **options) == same(value(name, kept, mode, **options))


@every_mode
def test_class_weights_weigh_both_halves_of_combo(mode):
    logits, target = random_sample(mode)
    weights = CLASS_WEIGHTS[mode]
    missed, invented = sides_of(mode, logits, target)
    own = double(weights).view(1, -1, 1).expand_as(missed)
    cross_entropy = (own * (missed + invented) / 2).sum() / own.sum()
    expected = (cross_entropy.item() + value("dice", (logits, target), class_weights=weights)) / 2
    assert value("combo", (logits, target), class_weights=weights) == same(expected)


@pytest.mark.parametrize("name", ["combo", "dice_ce", "dice_focal", "dice_topk", "bce_dice", "tversky_ce", "lovasz_ce"])
def test_a_certain_error_keeps_its_gradient_in_float32(name):
    logits, target = hard_answer(fp=1, tp=1, margin=40)
    gradient = gradient_of(build_loss(name), logits.float(), target)
    assert gradient[0, 0, 0, 1] > 0.01


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("fn_weight", [0.0, 0.3, 1.0])
def test_combo_prices_the_two_parts_of_a_soft_label(mode, fn_weight):
    logits, target = random_sample(mode)
    soft = torch.where(target, 0.8, 0.3).double()
    p = logits.sigmoid()
    expected = -(fn_weight * soft * p.log() + (1 - fn_weight) * (1 - soft) * (1 - p).log()).mean()
    assert value("combo", (logits, soft), ce_share=1, fn_weight=fn_weight) == same(expected.item())
