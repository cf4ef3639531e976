import json

import pytest

from segtrain.core.errors import ConfigError
from segtrain.losses import list_losses
from segtrain.losses.card import card, cards


def option(loss, name):
    return next(found for found in card(loss).options if found.name == name)


def test_there_is_one_card_for_each_loss():
    assert [shown.name for shown in cards()] == list_losses()


def test_an_alias_shows_the_card_of_the_loss_and_is_named_on_it():
    assert card("jaccard") == card("iou")
    assert card("iou").aliases == ("jaccard",)
    assert card("dice_bce").name == "bce_dice"


def test_a_card_says_what_the_class_says():
    shown = card("tversky")
    assert shown.family == "region"
    assert "1706.05721" in shown.paper
    assert shown.modes == ("multiclass", "binary", "multilabel")
    assert shown.optimum == 0
    assert shown.description.startswith("Overlap with different prices")
    assert "lesions that must not be missed" in shown.good_for
    assert "mean rank 11.9 of 20" in shown.bad_at


def test_a_card_has_what_is_told_before_a_training():
    assert card("post/combo").caution.startswith("its sign is wrong")
    assert card("tversky").caution == ""


def test_these_do_not_say_what_a_perfect_answer_costs():
    assert {shown.name for shown in cards() if shown.optimum is None} == {
        *("active_contour", "boundary", "dice_boundary", "nacl", "post/combo", "region_wise", "svls_ce", "t_loss"),
    }


@pytest.mark.parametrize(
    ("loss", "name", "type_", "default", "range_"),
    [
        ("tversky", "fn_weight", "float", 0.7, ">= 0"),
        ("focal_tversky", "exponent", "float", 0.75, "> 0"),
        ("combo", "ce_share", "float", 0.5, ">= 0, <= 1"),
        ("topk_ce", "k", "float", 10.0, "> 0, <= 100"),
        ("dice", "reduce_over", "sample or batch or flat", "sample", ""),
        ("dice", "include_background", "bool", False, ""),
        ("dice", "class_weights", "list of float or null", None, ">= 0"),
        ("focal", "alpha", "float or list of float or null", 0.25, ">= 0, <= 1"),
        ("lovasz_softmax", "classes", "present or all or list of int", "present", ">= 0"),
        ("dice_ce", "dice", "options", {}, ""),
    ],
)
def test_an_option_is_shown_with_type_default_and_range(loss, name, type_, default, range_):
    shown = option(loss, name)
    assert (shown.type, shown.default, shown.range) == (type_, default, range_)


def test_every_loss_has_the_shared_options_and_a_preset_has_none():
    for shown in cards():
        names = {found.name for found in shown.options}
        shared = set() if shown.name.startswith("post") else {"class_weights", "ignore_label"}
        assert names & {"class_weights", "ignore_label"} == shared


def test_a_card_is_plain_json():
    for shown in cards():
        assert json.loads(json.dumps(shown.to_json())) == shown.to_json()


def test_a_name_nobody_has_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no loss is called 'dicee'[\s\S]*'dice'"):
        card("dicee")
