"""MONAI as judge, for the losses on which it agrees with an independent reference (design notes, 3.11)."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import (
    DiceLoss,
    FocalLoss,
    GeneralizedDiceFocalLoss,
    GeneralizedDiceLoss,
    GeneralizedWassersteinDiceLoss,
    MCCLoss,
    TverskyLoss,
)
from monai.losses.unified_focal_loss import AsymmetricFocalTverskyLoss

from segtrain.losses import build_loss
from tests.losses.fixtures import gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
SPACES = [(5, 7), (3, 4, 5)]
every_mode = pytest.mark.parametrize("mode", MODES)
every_space = pytest.mark.parametrize("space", SPACES, ids=["2d", "3d"])


def activation(mode):
    return {"softmax": True} if mode == "multiclass" else {"sigmoid": True}


def channels(mode, target):
    """The target as MONAI takes it: one channel of numbers a class."""
    if mode == "multiclass":
        target = F.one_hot(target, 3).movedim(-1, 1)
    return target.double()


def assert_agree(ours, theirs, mode, space, scale=1.0):
    for seed in range(2):
        logits, target = random_sample(mode, space=space, seed=seed)
        judged = channels(mode, target)
        value = scale * theirs(logits, judged)
        assert ours(logits, target).item() == pytest.approx(value.item(), abs=1e-5)
        gradient = scale * gradient_of(lambda x, y, _: theirs(x, y), logits, judged)
        assert gradient.abs().max() > 1e-4
        assert torch.allclose(gradient_of(ours, logits, target), gradient, rtol=1e-5, atol=1e-7)


@every_space
@every_mode
@pytest.mark.parametrize(("reduce_over", "batch", "smooth"), [("sample", False, 0.0), ("batch", True, 1.0)])
class TestRegion:
    @pytest.mark.parametrize("background", [False, True])
    @pytest.mark.parametrize(("name", "form"), [("dice", {}), ("dice_squared", {"squared_pred": True})])
    def test_dice(self, name, form, background, reduce_over, batch, smooth, mode, space):
        ours = build_loss(name, mode, include_background=background, reduce_over=reduce_over, smooth=smooth)
        counted = background or mode != "multiclass"
        smoothing = {"smooth_nr": smooth, "smooth_dr": smooth}
        theirs = DiceLoss(include_background=counted, batch=batch, **form, **smoothing, **activation(mode))
        assert_agree(ours, theirs, mode, space)

    def test_iou(self, reduce_over, batch, smooth, mode, space):
        ours = build_loss("iou", mode, include_background=True, reduce_over=reduce_over, smooth=smooth)
        # MONAI smooths 2 TP / (2 union), hence the factor.
        smoothing = {"smooth_nr": 2 * smooth, "smooth_dr": 2 * smooth}
        assert_agree(ours, DiceLoss(jaccard=True, batch=batch, **smoothing, **activation(mode)), mode, space)

    @pytest.mark.parametrize(("fp_weight", "fn_weight"), [(0.3, 0.7), (0.5, 0.5), (0.9, 0.2)])
    def test_tversky(self, fp_weight, fn_weight, reduce_over, batch, smooth, mode, space):
        options = {"fp_weight": fp_weight, "fn_weight": fn_weight}
        ours = build_loss("tversky", mode, include_background=True, reduce_over=reduce_over, smooth=smooth, **options)
        prices = {"alpha": fp_weight, "beta": fn_weight, "smooth_nr": smooth, "smooth_dr": smooth}
        assert_agree(ours, TverskyLoss(batch=batch, **prices, **activation(mode)), mode, space)


@every_space
@every_mode
@pytest.mark.parametrize(("reduce_over", "batch"), [("sample", False), ("batch", True)])
def test_matthews_correlation(reduce_over, batch, mode, space):
    ours = build_loss("mcc", mode, include_background=True, reduce_over=reduce_over, smooth=0)
    theirs = MCCLoss(batch=batch, smooth_nr=0, smooth_dr=0, **activation(mode))
    assert_agree(ours, theirs, mode, space)


@every_space
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("weighting", ["square", "simple", "uniform"])
@pytest.mark.parametrize(("reduce_over", "batch"), [("sample", False), ("batch", True)])
def test_generalized_dice(weighting, reduce_over, batch, mode, space):
    ours = build_loss("generalized_dice", mode, weighting=weighting, reduce_over=reduce_over, smooth=0)
    smoothing = {"smooth_nr": 0, "smooth_dr": 0}
    theirs = GeneralizedDiceLoss(w_type=weighting, batch=batch, **smoothing, **activation(mode))
    assert_agree(ours, theirs, mode, space)


@every_space
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.8])
@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
def test_focal_of_sigmoids(gamma, alpha, mode, space):
    ours = build_loss("focal", mode, gamma=gamma, alpha=alpha)
    assert_agree(ours, FocalLoss(gamma=gamma, alpha=alpha), mode, space)


@every_space
@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
def test_focal_of_a_softmax_which_monai_divides_by_the_number_of_classes(gamma, space):
    ours = build_loss("focal", "multiclass", gamma=gamma, alpha=None)
    assert_agree(ours, FocalLoss(gamma=gamma, use_softmax=True), "multiclass", space, scale=3)


@every_space
@pytest.mark.parametrize("matrix", [((0, 1, 1), (1, 0, 1), (1, 1, 0)), ((0, 2, 2), (2, 0, 1), (2, 0.5, 0))])
def test_generalized_wasserstein_dice(matrix, space):
    ours = build_loss("generalized_wasserstein_dice", distances=matrix, smooth=0)
    theirs = GeneralizedWassersteinDiceLoss(torch.tensor(matrix).double(), smooth_nr=0, smooth_dr=0)
    assert_agree(ours, lambda x, y: theirs(x, y.argmax(1)), "multiclass", space)


@every_space
@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize(("name", "jaccard"), [("dml", False), ("jml", True)])
def test_dice_and_iou_of_soft_labels(name, jaccard, mode, space):
    logits, target = random_sample(mode, space=space)
    members = torch.rand(target.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = DiceLoss(sigmoid=True, jaccard=jaccard, soft_label=True, smooth_nr=0, smooth_dr=0)
    ours = build_loss(name, mode, smooth=0)
    assert ours(logits, members).item() == pytest.approx(theirs(logits, members).item(), abs=1e-6)
    expected = gradient_of(lambda x, y, _: theirs(x, y), logits, members)
    assert torch.allclose(gradient_of(ours, logits, members), expected, rtol=1e-5, atol=1e-7)


@every_space
def test_gdice_focal_of_sigmoids(space):
    ours = build_loss("gdice_focal", "multilabel", generalized_dice={"smooth": 0}, focal={"alpha": None})
    theirs = GeneralizedDiceFocalLoss(sigmoid=True, smooth_nr=0, smooth_dr=0)
    assert_agree(ours, theirs, "multilabel", space)


@every_space
@pytest.mark.parametrize(("delta", "gamma"), [(0.6, 0.5), (0.7, 0.75)])
def test_the_tversky_part_of_unified_focal(delta, gamma, space):
    ours = build_loss("unified_focal_asym", weight=1, delta=delta, gamma=gamma, smooth=0)
    theirs = AsymmetricFocalTverskyLoss(delta=delta, gamma=gamma)

    def of_both_sides(logits, target):
        p = logits.sigmoid()
        return theirs(torch.cat([1 - p, p], 1), torch.cat([1 - target, target], 1))

    assert_agree(ours, of_both_sides, "binary", space)
