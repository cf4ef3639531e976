from typing import ClassVar

import pytest
import torch
from torch import nn

from segtrain.core.errors import ConfigError
from segtrain.core.registry import options_of
from segtrain.losses import build_loss
from segtrain.losses.combine import Compound, DeepSupervision, level_weights, resized
from segtrain.losses.distribution import CrossEntropy
from segtrain.losses.lovasz import LovaszHinge, LovaszSoftmax
from segtrain.losses.maps import SIGNED_DISTANCE
from segtrain.losses.region import Dice
from segtrain.losses.voxels import Extras
from tests.losses.fixtures import fixture_m, gradient_of, random_sample

PARTS = [
    ("dice_ce", "dice", "ce"),
    ("bce_dice", "bce", "dice"),
    ("dice_topk", "dice", "topk_ce"),
    ("dice_focal", "dice", "focal"),
    ("iou_ce", "iou", "ce"),
    ("tversky_ce", "tversky", "ce"),
    ("lovasz_ce", "lovasz_softmax", "ce"),
]


class LovaszCE(Compound):
    """A compound of a test."""

    parts: ClassVar = {"lovasz": LovaszSoftmax, "ce": CrossEntropy}


@pytest.mark.parametrize(("name", "first", "second"), PARTS)
@pytest.mark.parametrize("masked", [False, True])
def test_a_compound_is_the_weighted_sum_of_its_parts(name, first, second, masked):
    logits, target = random_sample("binary")
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0)) > 0.3 if masked else None
    compound = build_loss(name, **{f"{first}_weight": 0.3, f"{second}_weight": 2})
    expected = 0.3 * build_loss(first)(logits, target, mask) + 2 * build_loss(second)(logits, target, mask)
    assert compound(logits, target, mask).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(("name", "first", "second"), PARTS)
def test_a_weight_of_zero_leaves_the_other_part(name, first, second):
    sample = random_sample("binary")
    assert build_loss(name, **{f"{first}_weight": 0})(*sample) == build_loss(second)(*sample)
    assert build_loss(name, **{f"{second}_weight": 0})(*sample) == build_loss(first)(*sample)


def test_a_shared_option_reaches_every_part_that_knows_it():
    sample = random_sample("multiclass")
    options = {"class_weights": [1, 2, 3], "smooth": 1, "include_background": True}
    expected = build_loss("dice", **options)(*sample) + build_loss("ce", class_weights=[1, 2, 3])(*sample)
    assert build_loss("dice_ce", **options)(*sample).item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_nested_option_beats_the_shared_one():
    sample = random_sample("multiclass")
    loss = build_loss("dice_ce", smooth=1, class_weights=[1, 2, 3], dice={"smooth": 0}, ce={"class_weights": None})
    expected = build_loss("dice", smooth=0, class_weights=[1, 2, 3])(*sample) + build_loss("ce")(*sample)
    assert loss(*sample).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_ignored_label_belongs_to_the_compound():
    logits, target = fixture_m()
    marked = target.clone()
    marked[0, 0, 0] = 9
    assert not gradient_of(build_loss("dice_ce", ignore_label=9), logits, marked)[..., 0, 0].any()
    with pytest.raises(ConfigError, match=r"dice\.ignore_label: there is no such key"):
        build_loss("dice_ce", dice={"ignore_label": 9})


def test_a_wrong_nested_option_is_named_with_its_place_and_the_nearest():
    with pytest.raises(ConfigError, match=r"focal\.gama: there is no such key[\s\S]*'gamma'"):
        build_loss("dice_focal", focal={"gama": 1})


def test_a_new_compound_needs_only_its_parts():
    sample = random_sample("multiclass")
    loss = LovaszCE(lovasz_weight=0.5, lovasz={"per_image": True})
    expected = 0.5 * build_loss("lovasz_softmax", per_image=True)(*sample) + build_loss("ce")(*sample)
    assert loss(*sample).item() == pytest.approx(expected.item(), rel=1e-12)


def test_region_options_are_shared_only_where_a_part_is_regional():
    assert "smooth" not in options_of(LovaszCE)
    assert {"smooth", "absent", "reduce_over"} <= set(options_of(type(build_loss("dice_ce"))))


def test_a_compound_has_the_modes_that_all_its_parts_have():
    class Both(Compound):
        """A compound of a test."""

        parts: ClassVar = {"hinge": LovaszHinge, "dice": Dice}

    assert Both.modes == ("binary", "multilabel")


def test_a_part_can_be_asked_for():
    assert isinstance(build_loss("dice_ce").term("dice"), Dice)


def test_class_weights_of_all_parts_move_with_the_compound():
    loss = build_loss("dice_ce", class_weights=[1, 2, 3]).to("meta")
    assert {loss.term(name).class_weights.device.type for name in ("dice", "ce")} == {"meta"}


@pytest.mark.parametrize(
    ("levels", "weights"),
    [(1, (1.0,)), (2, (1.0, 0.0)), (3, (2 / 3, 1 / 3, 0.0)), (4, (4 / 7, 2 / 7, 1 / 7, 0.0))],
)
def test_levels_weigh_half_of_the_one_before_and_the_coarsest_nothing(levels, weights):
    assert level_weights(levels) == pytest.approx(weights)


def test_no_level_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one level, not 0"):
        level_weights(0)


def test_deep_supervision_adds_up_the_levels_on_strided_targets():
    logits, target = random_sample("multiclass", space=(8, 8))
    coarse, coarsest = logits[..., ::2, ::2] * 2, logits[..., ::4, ::4] * 3
    mask = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.3
    ce = build_loss("ce")
    expected = (2 * ce(logits, target, mask) + ce(coarse, target[:, ::2, ::2], mask[:, ::2, ::2])) / 3
    value = DeepSupervision(ce, 3)((logits, coarse, coarsest), target, mask)
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_level_of_weight_zero_is_not_computed():
    logits, target = fixture_m()
    assert DeepSupervision(build_loss("ce"), 2)((logits, "never looked at"), target) == build_loss("ce")(logits, target)


def test_a_module_without_a_mask_is_called_without_one():
    logits, target = fixture_m()
    assert DeepSupervision(nn.CrossEntropyLoss(), 1)((logits,), target).item() == pytest.approx(0.828170, abs=6e-7)


def test_each_stage_has_its_own_spacing_and_maps():
    logits, target = random_sample("multiclass", space=(8, 8))
    levels = logits, logits[..., ::2, ::2], logits[..., ::4, ::4]
    maps = [{SIGNED_DISTANCE: torch.randn(level.shape)} for level in levels]
    extras = [Extras(None, (s, s), found) for s, found in zip((1.0, 2.0, 4.0), maps, strict=True)]
    loss = build_loss("boundary")
    fine = loss(logits, target, spacing_mm=(1.0, 1.0), maps=maps[0])
    coarse = loss(levels[1], target[:, ::2, ::2], spacing_mm=(2.0, 2.0), maps=maps[1])
    found = DeepSupervision(loss, 3)(levels, target, None, extras)
    assert found.item() == pytest.approx(((2 * fine + coarse) / 3).item(), rel=1e-12)


def test_a_wrong_number_of_outputs_is_counted():
    logits, target = fixture_m()
    with pytest.raises(ValueError, match="1 outputs for a deep supervision of 2 levels"):
        DeepSupervision(build_loss("ce"), 2)((logits,), target)


def test_a_target_is_strided_where_the_size_divides():
    labels = torch.arange(24).view(1, 4, 6)
    assert torch.equal(resized(labels, (2, 3)), labels[:, ::2, ::2])
    assert torch.equal(resized(labels, (4, 6)), labels)


def test_a_target_is_sampled_evenly_where_the_size_does_not_divide():
    labels = torch.arange(7).view(1, 1, 7)
    assert resized(labels, (1, 3)).flatten().tolist() == [0, 2, 4]
    assert resized(labels, (1, 4)).flatten().tolist() == [0, 1, 3, 5]


def test_resizing_leaves_channels_alone():
    labels = torch.arange(16).view(1, 2, 2, 4)
    assert torch.equal(resized(labels, (1, 2)), labels[:, :, ::2, ::2])
