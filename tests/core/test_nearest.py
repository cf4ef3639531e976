"""The hint under a name that is none."""

from segtrain.core.nearest import MOST_NAMES, did_you_mean


def test_near_names_are_asked_for():
    assert did_you_mean("dcie", ["dice", "iou"], "loss") == "did you mean 'dice'?"


def test_without_a_near_one_a_short_list_is_told_in_order():
    assert did_you_mean("zzz", ["iou", "dice"], "metric") == "known metric names: dice, iou"


def test_without_any_name_there_is_no_hint():
    assert did_you_mean("zzz", [], "key") == ""


def test_of_a_long_list_only_the_nearest_are_told():
    names = [f"loss_{number:03}" for number in range(MOST_NAMES + 1)]
    hint = did_you_mean("q007", names, "loss")
    assert hint.startswith(f"there are {len(names)} loss names; the nearest: loss_007")
    assert hint.count("loss_") == 5
