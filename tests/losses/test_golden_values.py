"""Every shipped loss against values of an independent float64 reference, printed with six decimals."""

import pytest

from segtrain.losses import build_loss, list_losses
from tests.losses.fixtures import fixture_b, fixture_b2, fixture_m, fixture_s, hard_answer

HALF_A_DIGIT = 6e-7
FIXTURES = {"B": fixture_b, "B2": fixture_b2, "M": fixture_m, "S": fixture_s}

GOLDEN = [
    ("B", "bce", {}, 0.437019),
    ("B", "ce", {}, 0.437019),
    ("B", "focal", {"gamma": 0, "alpha": 0.7}, 0.189017),
    ("B", "focal", {"gamma": 2, "alpha": None}, 0.150255),
    ("B", "focal", {"gamma": 2, "alpha": 0.25}, 0.098091),
    ("B", "focal", {"gamma": 2, "alpha": 0.8}, 0.047571),
    ("B", "focal", {"gamma": 0, "alpha": 0.25}, 0.255376),
    ("B", "dice", {}, 0.276763),
    ("B", "dice", {"smooth": 1}, 0.239626),
    ("B", "dice_squared", {}, 0.159779),
    ("B", "iou", {}, 0.433538),
    ("B", "tversky", {"fp_weight": 0.3, "fn_weight": 0.7}, 0.255886),
    ("B", "tversky", {"fp_weight": 0.7, "fn_weight": 0.3}, 0.296500),
    ("B", "focal_tversky", {"fp_weight": 0.3, "fn_weight": 0.7, "exponent": 0.75}, 0.359779),
    ("B", "focal_tversky", {"fp_weight": 0.3, "fn_weight": 0.7, "exponent": 2}, 0.065478),
    ("B", "asymmetric_similarity", {"beta": 1.5}, 0.256711),
    ("B", "mcc", {}, 0.590592),
    ("B", "log_cosh_dice", {}, 0.037820),
    ("B", "lovasz_hinge", {}, 0.750000),
    ("B", "lovasz_softmax", {}, 0.370377),
    ("B", "combo", {"ce_share": 0.5, "fn_weight": 0.5}, 0.247636),
    ("B", "bce_dice", {}, 0.713782),
    ("B", "dice_ce", {}, 0.713782),
    ("M", "ce", {}, 0.828170),
    ("M", "ce", {"class_weights": (1, 2, 3)}, 0.982890),
    ("M", "focal", {"gamma": 2, "alpha": None}, 0.355240),
    ("M", "focal", {"gamma": 2, "alpha": (0.25, 0.5, 0.25)}, 0.127177),
    ("M", "topk_ce", {"k": 50}, 1.231281),
    ("M", "dice", {"include_background": True}, 0.535618),
    ("M", "dice", {}, 0.607711),
    ("M", "iou", {}, 0.742503),
    ("M", "generalized_dice", {"weighting": "square"}, 0.543555),
    ("M", "generalized_dice", {"weighting": "simple"}, 0.531456),
    ("M", "lovasz_softmax", {}, 0.581223),
    ("M", "dice_ce", {}, 1.435880),
    ("M", "dice_topk", {"topk_ce": {"k": 50}}, 0.607711 + 1.231281),
    ("M", "dice_focal", {"focal": {"alpha": None}}, 0.607711 + 0.355240),
    ("S", "dice", {}, 0.390374),
    ("B2", "dice", {}, 0.222504),
    ("B2", "dice", {"reduce_over": "batch"}, 0.249946),
    ("B2", "iou", {}, 0.360785),
    ("B2", "tversky", {}, 0.202593),
    ("B2", "focal", {}, 0.049117),
    ("B2", "lovasz_hinge", {}, 0.375000),
]
WORST = {
    "asymmetric_similarity": 1,
    "bce": 30,
    "bce_dice": 31,
    "ce": 30,
    "dice": 1,
    "dice_ce": 31,
    "dice_squared": 1,
    "dice_topk": 31,
    "focal_tversky": 1,
    "generalized_dice": 1,
    "iou": 1,
    "log_cosh_dice": 0.433781,
    "lovasz_hinge": 31,
    "lovasz_softmax": 1,
    "mcc": 2,
    "topk_ce": 30,
    "tversky": 1,
}
SMOOTHED = {
    *("asymmetric_similarity", "bce_dice", "combo", "dice", "dice_ce", "dice_focal", "dice_squared", "dice_topk"),
    *("focal_tversky", "generalized_dice", "iou", "log_cosh_dice", "mcc", "tversky"),
}


def build_unsmoothed(name, mode="auto", **options):
    return build_loss(name, mode, **({"smooth": 0.0} if name in SMOOTHED else {}) | options)


def test_every_loss_of_a_paper_has_a_golden_value():
    assert {name for _, name, _, _ in GOLDEN} == {name for name in list_losses() if not name.startswith("post")}


@pytest.mark.parametrize(("fixture", "name", "options", "value"), GOLDEN)
def test_a_loss_has_the_value_of_the_reference(fixture, name, options, value):
    loss = build_unsmoothed(name, **options)
    tolerance = HALF_A_DIGIT * (2 if name in {"dice_topk", "dice_focal"} else 1)
    assert loss(*FIXTURES[fixture]()).item() == pytest.approx(value, abs=tolerance)


def test_the_default_of_dice_focal_is_dice_plus_the_papers_focal():
    assert build_unsmoothed("dice_focal")(*fixture_b()).item() == pytest.approx(0.276763 + 0.098091, abs=2e-6)


@pytest.mark.parametrize(("name", "value"), WORST.items())
def test_the_worst_certain_answer_costs_what_the_notes_say(name, value):
    logits, target = hard_answer(fp=5, fn=4)
    mode = "multilabel" if name == "generalized_dice" else "binary"
    loss = build_unsmoothed(name, mode)
    assert loss(logits, target).item() == pytest.approx(value, abs=HALF_A_DIGIT)
