"""MONAI as judge of the losses on distance maps, in value and gradient, where every class has a border."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import BoundaryLoss, HausdorffDTLoss, LogHausdorffDTLoss

from segtrain.losses import build_loss
from tests.losses.fixtures import gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
every_space = pytest.mark.parametrize("space", [(9, 7), (6, 5, 7)], ids=["2d", "3d"])
every_background = pytest.mark.parametrize("background", [False, True])


def options(mode, background):
    """MONAI's words for the mode; one channel is scored whatever it is told."""
    activation = {"softmax": True} if mode == "multiclass" else {"sigmoid": True}
    return {**activation, "include_background": background or mode != "multiclass"}


def assert_agree(ours, theirs, mode, space):
    for seed in range(2):
        logits, target = random_sample(mode, space=space, seed=seed)
        logits = 2 * logits
        judged = (F.one_hot(target, 3).movedim(-1, 1) if mode == "multiclass" else target).double()
        assert ours(logits, target).item() == pytest.approx(theirs(logits, judged).item(), rel=1e-6)
        gradient = gradient_of(lambda x, y, _: theirs(x, y), logits, judged)
        assert gradient.abs().max() > 1e-4
        assert torch.allclose(gradient_of(ours, logits, target), gradient, rtol=1e-5, atol=1e-7)


@every_mode
@every_space
@every_background
@pytest.mark.parametrize("alpha", [1.0, 2.0, 2.5])
@pytest.mark.parametrize(
    ("name", "judge"), [("hausdorff_dt", HausdorffDTLoss), ("log_hausdorff_dt", LogHausdorffDTLoss)]
)
def test_hausdorff(name, judge, alpha, background, space, mode):
    ours = build_loss(name, mode, include_background=background, alpha=alpha)
    assert_agree(ours, judge(alpha=alpha, **options(mode, background)), mode, space)


@every_mode
@every_space
@every_background
def test_boundary(background, space, mode):
    ours = build_loss("boundary", mode, include_background=background)
    assert_agree(ours, BoundaryLoss(**options(mode, background)), mode, space)
