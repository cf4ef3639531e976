"""Every shipped loss against values of an independent float64 reference, printed with six decimals."""

import pytest

from segtrain.losses import build_loss, list_losses
from segtrain.losses.card import card
from tests.losses.fixtures import double, fixture_b, fixture_b2, fixture_m, fixture_s, hard_answer

HALF_A_DIGIT = 6e-7


def fixture_b_soft():
    """Fixture B with memberships between 0 and 1."""
    return fixture_b()[0], double([[[[0, 0.25, 0.5], [0.75, 1, 1]]]])


def fixture_s_inverted():
    """Fixture S and the opposite answer."""
    x, g = fixture_s()
    return -x, g


def fixture_s_split():
    """Fixture S without the middle column of its square: two objects."""
    x, g = fixture_s()
    g[..., 2] = False
    return x, g


FIXTURES = {
    "B": fixture_b,
    "B soft": fixture_b_soft,
    "B2": fixture_b2,
    "M": fixture_m,
    "S": fixture_s,
    "S inverted": fixture_s_inverted,
    "S split": fixture_s_split,
}

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
    ("M", "weighted_ce", {"class_weights": (1, 2, 3)}, 0.982890),
    ("B", "balanced_bce", {"beta": 0.7}, 0.189017),
    ("M", "normalized_focal", {}, 1.124863),
    ("B", "normalized_focal", {}, 1.015872),
    ("B", "reduced_focal", {}, 0.351984),
    ("B", "reduced_focal", {"threshold": 0.7, "gamma": 1}, 0.362214),
    ("M", "ohem_ce", {"threshold": 0.5}, 1.231281),
    ("M", "ohem_ce", {"threshold": 0.01, "min_percent": 50}, 1.231281),
    ("M", "poly1_ce", {}, 1.342367),
    ("M", "poly1_focal", {}, 0.563178),
    ("M", "poly1_focal", {"epsilon": -0.5, "gamma": 1}, 0.370345),
    ("M", "gce", {}, 0.585638),
    ("M", "sce", {}, 2.139606),
    ("B", "t_loss", {}, 5.028863),
    ("B", "t_loss", {"nu": 3}, 5.321636),
    ("M", "nacl", {}, 0.903170),
    ("M", "svls_ce", {}, 1.059035),
    ("M", "marginal_ce", {}, 0.828170),
    ("M", "marginal_ce", {"unlabelled": (2,)}, 0.487707),
    ("M", "exclusion", {}, 0.321910),
    ("M", "exclusion", {"include_background": True}, 0.344399),
    ("M", "generalized_wasserstein_dice", {}, 0.483311),
    ("M", "generalized_wasserstein_dice", {"distances": ((0, 2, 2), (2, 0, 1), (2, 0.5, 0))}, 0.325081),
    ("M", "focal_dice", {}, 0.388658),
    ("B", "focal_dice", {"beta": 3}, 0.102378),
    ("B", "log_dice", {}, 0.324018),
    ("M", "log_dice", {}, 1.035105),
    ("B", "sensitivity_specificity", {}, 0.201086),
    ("M", "penalty_gdice", {}, 0.253866),
    ("B", "nr_dice", {}, 0.217986),
    ("B", "nr_dice", {"gamma": 2}, 0.159779),
    ("B", "dml", {}, 0.276763),
    ("B soft", "dml", {}, 0.046560),
    ("B", "jml", {}, 0.433538),
    ("B soft", "jml", {}, 0.088978),
    ("B", "dice_pp", {}, 0.159779),
    ("B", "dice_pp", {"gamma": 3}, 0.103481),
    ("M", "tvmf_dice", {}, 2.778280),
    ("M", "tvmf_dice", {"kappa": 4, "include_background": False}, 1.373778),
    ("M", "gdice_focal", {"generalized_dice": {"smooth": 0}}, 0.632883),
    ("M", "iou_ce", {}, 1.570673),
    ("M", "tversky_ce", {}, 1.462886),
    ("M", "lovasz_ce", {}, 1.409393),
    ("M", "exp_log", {}, 1.047704),
    ("B", "unified_focal_asym", {"weight": 0}, 0.175476),
    ("B", "unified_focal_asym", {"weight": 1}, 0.424509),
    ("B", "unified_focal_asym", {}, 0.299992),
    ("M", "unified_focal_asym", {}, 0.559328),
    ("B", "unified_focal_sym", {"weight": 0}, 0.143063),
    ("B", "unified_focal_sym", {"weight": 1}, 0.546552),
    ("B", "unified_focal_sym", {}, 0.344808),
    ("M", "unified_focal_sym", {}, 0.555206),
    ("M", "ce_size_l1", {}, 0.985017),
    ("B", "ce_size_l1", {}, 0.512448),
    ("M", "ce_size_kl", {}, 0.964116),
    ("B", "ce_size_kl", {}, 0.448530),
    ("M", "dice_topk", {"topk_ce": {"k": 50}}, 0.607711 + 1.231281),
    ("M", "dice_focal", {"focal": {"alpha": None}}, 0.607711 + 0.355240),
    ("S", "dice", {}, 0.390374),
    ("S", "boundary", {}, 0.130627),
    ("S", "boundary", {"shift_border": False}, -0.097373),
    ("S", "generalized_surface", {}, 0.304286),
    ("S", "region_wise", {}, 0.028000),
    ("S", "dice_boundary", {}, 0.387777),
    ("S", "hausdorff_dt", {}, 0.512800),
    ("S", "log_hausdorff_dt", {}, 0.413962),
    ("S", "hausdorff_one_sided", {}, 0.204800),
    ("S", "hausdorff_one_sided", {"alpha": 1}, 0.203063),
    ("S", "hausdorff_er", {}, 0.0),
    ("S inverted", "hausdorff_er", {}, 4.329186),
    ("S inverted", "hausdorff_er", {"erosions": 3}, 3.049186),
    ("S", "dice_hausdorff", {}, 1.025600),
    ("S", "boundary_dou", {}, 0.332602),
    ("S", "active_contour", {}, 0.580064),
    ("S", "surface_dice_dilation", {}, 0.111111),
    ("S", "surface_dice_dilation", {"tolerance_mm": 0.5}, 0.219512),
    ("S", "distance_ce", {}, 0.873424),
    ("S", "contour_weighted_ce", {}, 1.227459),
    ("S", "unet_border_ce", {}, 0.632694),
    ("S split", "unet_border_ce", {}, 8.532070),
    ("S split", "unet_border_ce", {"w0": 4, "sigma": 2}, 2.459717),
    ("S", "cldice", {"smooth": 1}, 0.199063),
    ("S", "dice_cldice", {}, (0.390374 + 0.199063) / 2),
    ("S", "cl_ce", {}, 0.081269),
    ("S", "cbdice", {"smooth": 1}, 0.359419),
    ("S", "skeleton_recall", {}, 0.366667),
    ("S", "blob", {}, 2 * (0.390374 + 0.632694)),
    ("S", "cc_dice_ce", {}, 2 * (0.390374 + 0.632694)),
    ("S", "inverse_size_weighting", {}, 0.677554),
    (
        "M",
        "weighted_sum",
        {"of": ({"name": "dice", "smooth": 0, "weight": 2}, {"name": "ce"})},
        2 * 0.607711 + 0.828170,
    ),
    ("B2", "dice", {}, 0.222504),
    ("B2", "dice", {"reduce_over": "batch"}, 0.249946),
    ("B2", "iou", {}, 0.360785),
    ("B2", "tversky", {}, 0.202593),
    ("B2", "focal", {}, 0.049117),
    ("B2", "lovasz_hinge", {}, 0.375000),
]
WORST = {
    "asymmetric_similarity": 1,
    "balanced_bce": 15,
    "bce": 30,
    "bce_dice": 31,
    "boundary_dou": 1,
    "ce": 30,
    "dice": 1,
    "dice_ce": 31,
    "dice_pp": 1,
    "dice_squared": 1,
    "dice_topk": 31,
    "dml": 1,
    "focal_dice": 1,
    "focal_tversky": 1,
    "generalized_dice": 1,
    "iou": 1,
    "iou_ce": 31,
    "jml": 1,
    "log_cosh_dice": 0.433781,
    "lovasz_hinge": 31,
    "lovasz_softmax": 1,
    "mcc": 2,
    "nr_dice": 1,
    "ohem_ce": 30,
    "penalty_gdice": 1,
    "sensitivity_specificity": 1,
    "topk_ce": 30,
    "tversky": 1,
}

SUMS = {"dice_topk", "dice_focal", "blob", "cc_dice_ce", "weighted_sum"}
"""Their values are sums of printed ones."""


def build_unsmoothed(name, mode="auto", **options):
    smoothed = "smooth" in {option.name for option in card(name).options}
    return build_loss(name, mode, **({"smooth": 0.0} if smoothed else {}) | options)


def test_every_loss_of_a_paper_has_a_golden_value():
    assert {name for _, name, _, _ in GOLDEN} == {name for name in list_losses() if not name.startswith("post")}


@pytest.mark.parametrize(("fixture", "name", "options", "value"), GOLDEN)
def test_a_loss_has_the_value_of_the_reference(fixture, name, options, value):
    loss = build_unsmoothed(name, **options)
    tolerance = HALF_A_DIGIT * (4 if name in SUMS else 1)
    assert loss(*FIXTURES[fixture]()).item() == pytest.approx(value, abs=tolerance)


def test_the_default_of_dice_focal_is_dice_plus_the_papers_focal():
    assert build_unsmoothed("dice_focal")(*fixture_b()).item() == pytest.approx(0.276763 + 0.098091, abs=2e-6)


@pytest.mark.parametrize(("name", "value"), WORST.items())
def test_the_worst_certain_answer_costs_what_the_notes_say(name, value):
    logits, target = hard_answer(fp=5, fn=4)
    mode = "multilabel" if name in {"generalized_dice", "penalty_gdice"} else "binary"
    loss = build_unsmoothed(name, mode)
    assert loss(logits, target).item() == pytest.approx(value, abs=HALF_A_DIGIT)
