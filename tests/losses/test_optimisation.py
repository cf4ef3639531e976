"""Free logits of a rectangle, minimised: what a loss is for, and what a wrong sign would break."""

import pytest
import torch

from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes

TARGET = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
TARGET[..., 8:20, 6:20] = True
OF_PAPERS = [name for name in list_losses() if not name.startswith("post")]
NOT_ALONE = {
    "exclusion": "it only forbids overlaps",
    "cldice": "it leaves the width of a tube open",
    "dice_cldice": "slow, as the rectangle is too thick for a centre line: see test_topology.py",
    "cl_ce": "it only reads centre lines",
    "cbdice": "it only reads centre lines",
    "skeleton_recall": "it is a recall, best where everything is foreground",
    **dict.fromkeys(["boundary", "generalized_surface"], "voxels at the border have distance 0, so no gradient"),
    "hausdorff_er": "an undecided answer has no gradient",
    "surface_dice_dilation": "it only reads borders",
}
VARIANTS = [
    ("post/focal", {}),
    ("focal_tversky", {"exponent": 2}),
    ("combo", {"ce_share": 0.1, "fn_weight": 0.9}),
]


def hard_dice_on_the_way(loss, outputs, steps, every):
    """Hard Dice of the rectangle after every so many steps of Adam."""
    logits = 0.1 * torch.randn(1, outputs, 32, 32, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    target = TARGET if outputs == 1 else TARGET[:, 0].long()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    found = []
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        loss(logits, target).backward()
        optimiser.step()
        if step % every == 0:
            answer = logits.detach() > 0 if outputs == 1 else logits.detach().diff(dim=1) > 0
            found.append((2 * (answer & TARGET).sum() / (answer.sum() + TARGET.sum())).item())
    return found


@pytest.mark.parametrize("steps", [100, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in OF_PAPERS if name not in NOT_ALONE), *VARIANTS])
def test_minimising_it_finds_the_object_at_once_and_keeps_it(name, options, steps):
    outputs = 1 if "binary" in supported_modes(name) else 2
    assert min(hard_dice_on_the_way(build_loss(name, **options), outputs, steps=steps, every=10)) >= 0.99


def test_minimising_the_posts_combo_loses_the_object():
    found = hard_dice_on_the_way(build_loss("post/combo"), 1, steps=300, every=1)
    assert found[0] < 0.1
    assert max(found[49:]) == 0
