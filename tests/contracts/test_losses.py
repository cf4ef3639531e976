"""What every registered loss keeps, in every mode it says it has."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import pickle

import pytest
import torch

from segtrain.core.errors import ConfigError
from segtrain.losses import Loss, build_loss, list_losses
from segtrain.losses.card import card
from segtrain.losses.registry import LOSSES, supported_modes
from tests.losses.fixtures import certain, random_sample

NAMES = list_losses()
CASES = [(name, mode) for name in NAMES for mode in supported_modes(name)]
every_case = pytest.mark.parametrize(("name", "mode"), CASES, ids=[f"{n}-{m}" for n, m in CASES])
every_name = pytest.mark.parametrize("name", NAMES)
every_sound_case = pytest.mark.parametrize(
    ("name", "mode"), [c for c in CASES if card(c[0]).optimum is not None], ids=lambda value: str(value)
)

NO_FULL_GRADIENT = {
    "normalized_focal": "its divisor has no gradient, as in the authors' code",
    "dice_hausdorff": "the scale of its Dice is a constant of the step",
}
NO_GRADIENT_HERE = {"hausdorff_er": "an error of less than a half has none"}
CHEAP_INVERSE = {
    "surface_dice_dilation": "a mask and its inverse have the same border",
    "hausdorff_er": "scattered errors are thin",
}
LOOKS_AROUND = {
    "nacl": "it compares a voxel with the labels around it",
    "svls_ce": "it smooths the label of a voxel with those around it",
    **dict.fromkeys(["cldice", "dice_cldice", "cl_ce", "cbdice"], "a centre line is made of neighbours"),
    "skeleton_recall": "a skeleton is made of neighbours",
    **dict.fromkeys(["blob", "cc_dice_ce", "inverse_size_weighting"], "an object is made of neighbours"),
    **dict.fromkeys(["boundary", "dice_boundary", "generalized_surface", "region_wise"], "it measures distances"),
    **dict.fromkeys(["hausdorff_dt", "log_hausdorff_dt", "hausdorff_one_sided"], "it measures distances"),
    **dict.fromkeys(["dice_hausdorff", "distance_ce", "unet_border_ce"], "it measures distances"),
    **dict.fromkeys(["boundary_dou", "surface_dice_dilation", "contour_weighted_ce"], "a contour lies beside others"),
    "active_contour": "it compares a voxel with the next",
    "hausdorff_er": "an erosion reads neighbours",
}
HAS_A_DIRECTION = {
    "cc_dice_ce": "a voxel that is as far from two objects goes to one of them",
    "active_contour": "its differences go forward",
}
EXCEPTIONS = NO_FULL_GRADIENT | NO_GRADIENT_HERE | CHEAP_INVERSE | LOOKS_AROUND | HAS_A_DIRECTION


def every_case_but(exceptions):
    cases = [case for case in CASES if case[0] not in exceptions]
    return pytest.mark.parametrize(("name", "mode"), cases, ids=[f"{n}-{m}" for n, m in cases])


def cases_with(option):
    return [(name, mode) for name, mode in CASES if option in {o.name for o in card(name).options}]


def value_and_gradient(loss, logits, target, mask=None):
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, target, mask)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def assert_finite(value, gradient):
    assert value.shape == ()
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


def test_the_room_is_not_empty():
    assert len(NAMES) >= 35
    assert len(CASES) > len(NAMES)
    assert set(EXCEPTIONS) <= set(NAMES)


@every_sound_case
def test_a_perfect_answer_costs_nothing_and_its_inverse_much(name, mode):
    loss = build_loss(name, mode)
    _, target = random_sample(mode)
    logits = certain(mode, target)
    value, gradient = value_and_gradient(loss, logits, target)
    assert 0 <= value < 1e-6
    assert_finite(value, gradient)
    assert loss(-logits, target) > 0.25 or name in CHEAP_INVERSE


@every_sound_case
def test_no_answer_costs_less_than_nothing(name, mode):
    for seed in range(3):
        assert build_loss(name, mode)(*random_sample(mode, seed=seed)) >= 0


@every_case_but(NO_FULL_GRADIENT)
def test_the_gradient_is_that_of_the_value(name, mode):
    logits, target = random_sample(mode, space=(2, 3))
    loss = build_loss(name, mode)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits.requires_grad_(),), eps=1e-6, atol=1e-5)


@every_sound_case
def test_moving_towards_the_truth_never_costs_more(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, mode)
    step = certain(mode, target, margin=0.25)
    values = [loss(logits + k * step, target).item() for k in range(6)]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(values))


@every_case_but(LOOKS_AROUND)
def test_the_order_of_voxels_does_not_matter(name, mode):
    logits, target = random_sample(mode, space=(3, 4))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))

    def shuffled(t):
        return t.flatten(-2)[..., order].view(t.shape)

    loss = build_loss(name, mode)
    assert loss(shuffled(logits), shuffled(target)).item() == pytest.approx(loss(logits, target).item(), abs=1e-12)


@every_case_but(HAS_A_DIRECTION)
def test_mirrored_and_turned_scans_cost_the_same(name, mode):
    logits, target = random_sample(mode, space=(3, 4))
    loss = build_loss(name, mode)
    expected = pytest.approx(loss(logits, target).item(), abs=1e-12)
    assert loss(logits.flip(-1), target.flip(-1)).item() == expected
    assert loss(logits.transpose(-1, -2), target.transpose(-1, -2)).item() == expected


@every_case
def test_what_lies_under_the_mask_changes_nothing_and_gets_no_gradient(name, mode):
    logits, target = random_sample(mode)
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(2)) > 0.3
    loss = build_loss(name, mode)
    value, gradient = value_and_gradient(loss, logits, target, mask)

    hidden = ~mask.unsqueeze(1)
    other = logits.masked_fill(hidden, 1e4)
    other_target = target.masked_fill(~mask, 255) if mode == "multiclass" else target ^ hidden
    changed, changed_gradient = value_and_gradient(loss, other, other_target, mask.unsqueeze(1))

    assert changed == value
    assert torch.equal(gradient, changed_gradient)
    assert not gradient.masked_select(hidden).any()
    assert gradient.any() or name in NO_GRADIENT_HERE


@every_case_but(LOOKS_AROUND)
def test_a_mask_leaves_the_loss_of_the_other_voxels(name, mode):
    logits, target = random_sample(mode, samples=1, space=(4, 6))
    mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
    loss = build_loss(name, mode)
    kept = mask.flatten()

    def cut(t):
        return t.flatten(-2)[..., kept].unsqueeze(-2)

    assert loss(logits, target, mask).item() == pytest.approx(loss(cut(logits), cut(target)).item(), abs=1e-10)


@every_case
def test_where_no_voxel_counts_the_value_is_zero_and_still_in_the_graph(name, mode):
    logits, target = random_sample(mode)
    value, gradient = value_and_gradient(build_loss(name, mode), logits, target, torch.zeros(2, 3, 4, 2))
    assert not gradient.any()
    assert torch.isfinite(value)
    if card(name).optimum is not None:
        assert value == 0


@every_case
def test_value_and_gradient_are_finite_at_the_edges(name, mode):
    logits, target = random_sample(mode, dtype=torch.float32)
    loss = build_loss(name, mode)
    for labels in (torch.zeros_like(target), torch.ones_like(target), target):
        for scale in (0.0, 1.0, 1e4, -1e4):
            assert_finite(*value_and_gradient(loss, logits * scale, labels))
    one_voxel = (slice(0, 1), ..., slice(0, 1), slice(0, 1), slice(0, 1))
    assert_finite(*value_and_gradient(loss, logits[one_voxel], target[one_voxel]))


@pytest.mark.parametrize(("name", "mode"), cases_with("smooth"))
def test_the_value_is_finite_without_smoothing_too(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, mode, smooth=0.0)
    for labels in (torch.zeros_like(target), target):
        for scale in (1.0, 1e4):
            assert_finite(*value_and_gradient(loss, logits * scale, labels))
    # Probabilities that float32 barely holds, of a class that nobody has.
    faint = torch.zeros(1, logits.shape[1], 2, 3)
    faint[:, -1] = -95.0
    assert_finite(*value_and_gradient(loss, faint, torch.zeros(1, *target.shape[1:-3], 2, 3, dtype=target.dtype)))


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(name, mode, dtype):
    logits, target = random_sample(mode, dtype=torch.float32)
    loss = build_loss(name, mode)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(loss, logits.to(dtype), target)
    assert value.dtype == torch.float32
    assert_finite(value, gradient)
    assert value.item() == pytest.approx(loss(logits, target).item(), abs=1e-2)


@every_case
def test_memory_layout_does_not_matter(name, mode):
    logits, target = random_sample(mode)
    loss = build_loss(name, mode)
    expected = loss(logits, target)
    permuted = logits.to(memory_format=torch.channels_last_3d)
    strided = torch.stack([logits, logits], -1)[..., 0]
    assert not strided.is_contiguous()
    assert loss(permuted, target).item() == pytest.approx(expected.item(), abs=1e-12)
    assert loss(strided, target.movedim(-1, 0).contiguous().movedim(0, -1)) == expected


@every_case
def test_2d_and_3d_are_the_same_sum(name, mode):
    logits, target = random_sample(mode, space=(1, 5, 4))
    flat_target = target.squeeze(-3)
    loss = build_loss(name, mode)
    assert loss(logits.squeeze(2), flat_target) == loss(logits, target)


@every_case
def test_the_mode_is_found_from_the_call(name, mode):
    logits, target = random_sample(mode)
    expected = build_loss(name, mode)(logits, target)
    assert build_loss(name)(logits, target) == expected
    if mode != "multilabel":
        for kind in (torch.uint8, torch.int16, torch.int64):
            assert build_loss(name)(logits, target.to(kind)) == expected
    if mode == "binary":
        assert build_loss(name)(logits, target.squeeze(1)) == expected
    if mode != "multiclass":
        assert build_loss(name)(logits, target.double()).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize(("name", "mode"), cases_with("ignore_label"))
def test_an_ignore_label_is_a_mask(name, mode):
    logits, target = random_sample(mode)
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(4)) > 0.3
    hidden = ~mask if mode == "multiclass" else ~mask.unsqueeze(1)
    marked = target.to(torch.uint8).masked_fill(hidden, 255)
    loss = build_loss(name, mode, ignore_label=255)
    assert loss(logits, marked) == build_loss(name, mode)(logits, target, mask)


@every_case
def test_shapes_that_do_not_fit_are_named(name, mode):
    logits, target = random_sample(mode)
    with pytest.raises(ValueError, match=r"logits \(2, \d, 3, 4, 2\), target \("):
        build_loss(name, mode)(logits, target[..., :1])
    with pytest.raises(ValueError, match="mask must be"):
        build_loss(name, mode)(logits, target, torch.ones(2, 3))


@every_name
def test_modes_it_does_not_have_are_refused(name):
    for mode in set(Loss.modes) - set(supported_modes(name)):
        with pytest.raises(ConfigError, match="has no mode"):
            build_loss(name, mode)
        with pytest.raises(ValueError, match="works on"):
            build_loss(name)(*random_sample(mode))


@every_name
def test_it_is_built_again_from_its_own_defaults(name):
    options = {option.name: option.default for option in card(name).options}
    written = json.loads(json.dumps(options))
    mode = supported_modes(name)[0]
    sample = random_sample(mode)
    assert build_loss(name, mode, **written)(*sample) == build_loss(name, mode)(*sample)


@every_name
def test_it_survives_pickling(name):
    mode = supported_modes(name)[0]
    loss, sample = build_loss(name, mode), random_sample(mode)
    assert pickle.loads(pickle.dumps(loss))(*sample) == loss(*sample)


@every_name
def test_a_key_it_does_not_know_is_refused(name):
    with pytest.raises(ConfigError, match="no_such_option: there is no such key"):
        build_loss(name, no_such_option=1)


@every_name
def test_its_card_is_complete(name):
    shown = card(name)
    assert LOSSES.find(name).__dict__.get("__doc__")
    assert shown.family
    assert shown.formula
    assert all(option.doc.endswith(".") for option in shown.options)
    assert shown.optimum is None or math.isfinite(shown.optimum)
    assert json.loads(json.dumps(shown.to_json()))["name"] == name


@every_name
def test_its_card_says_in_a_few_words_of_its_own_what_it_is_good_for_and_bad_at(name):
    own = vars(LOSSES.find(name))
    shown = card(name).to_json()
    for key in ("good_for", "bad_at"):
        assert shown[key] == own[key]
        assert 10 < len(own[key]) <= 110
        assert own[key] == own[key].strip(" .;,")


def test_no_two_losses_are_praised_or_blamed_in_the_same_words():
    said = [text for name in NAMES for text in (card(name).good_for, card(name).bad_at)]
    assert len(set(said)) == len(said) == 2 * len(NAMES)


@every_name
def test_only_the_mode_is_positional(name):
    kinds = {p.name: p.kind for p in inspect.signature(LOSSES.find(name)).parameters.values()}
    assert kinds.pop("mode") is inspect.Parameter.POSITIONAL_ONLY
    assert set(kinds.values()) <= {inspect.Parameter.KEYWORD_ONLY}
