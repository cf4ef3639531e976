"""MONAI as judge of the centre-line Dice (design notes, 3.11); it pools classes, ours scores each."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import SoftclDiceLoss

from segtrain.losses import build_loss
from tests.losses.fixtures import gradient_of, random_sample

NEXT_TO_NOTHING = 1e-12
"""MONAI's own smoothing of the harmonic mean, which the paper does not have."""


def by_class(mode, iterations, smooth):
    """MONAI's loss of every scored class, averaged."""
    theirs = SoftclDiceLoss(iter_=iterations, smooth_nr=smooth, smooth_dr=smooth, smooth=NEXT_TO_NOTHING)

    def loss(logits, target, _=None):
        first = int(mode == "multiclass")
        p = logits.softmax(1) if first else logits.sigmoid()
        g = F.one_hot(target, 3).movedim(-1, 1) if first else target
        costs = [theirs(p[:, c : c + 1], g[:, c : c + 1].to(p.dtype)) for c in range(first, p.shape[1])]
        return torch.stack(costs).mean()

    return loss


@pytest.mark.parametrize("space", [(9, 11), (5, 6, 7)], ids=["2d", "3d"])
@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize(("iterations", "smooth"), [(3, 1.0), (1, 0.5)])
def test_centre_line_dice(mode, iterations, smooth, space):
    ours, theirs = build_loss("cldice", mode, iterations=iterations, smooth=smooth), by_class(mode, iterations, smooth)
    for seed in range(2):
        logits, target = random_sample(mode, space=space, seed=seed)
        assert ours(logits, target).item() == pytest.approx(theirs(logits, target).item(), abs=1e-10)
        gradient = gradient_of(theirs, logits, target)
        assert gradient.abs().max() > 1e-4
        assert torch.allclose(gradient_of(ours, logits, target), gradient, rtol=1e-6, atol=1e-10)
