"""The fixtures of the design notes, and random samples of every mode."""

from __future__ import annotations

import torch

from segtrain.losses.voxels import Mode

OUTPUTS: dict[Mode, int] = {"multiclass": 3, "binary": 1, "multilabel": 2}


def double(rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def fixture_b():
    """One sample, one sigmoid, 2 x 3."""
    return double([[[[-2, -1, 0], [1, 2, 3]]]]), torch.tensor([[[[0, 0, 1], [0, 1, 1]]]])


def fixture_b2():
    """Fixture B and a second sample with one voxel of foreground, found."""
    x, g = fixture_b()
    x2, g2 = double([[[[2, -3, -3], [-3, -3, -3]]]]), torch.tensor([[[[1, 0, 0], [0, 0, 0]]]])
    return torch.cat([x, x2]), torch.cat([g, g2])


def fixture_m():
    """One sample, three exclusive classes, 2 x 2."""
    x = double([[[[2, 0], [1, -1]], [[0, 1], [-1, 0.5]], [[-1, 0.5], [0, 1]]]])
    return x, torch.tensor([[[0, 1], [2, 1]]])


def fixture_s():
    """One sample, one sigmoid, 5 x 5: a 3 x 3 square and an answer of 0.9 that is moved by a column."""
    g = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    g[..., 1:4, 1:4] = True
    return torch.logit(double([0.1, 0.9]))[g.roll(1, -1).long()], g


def hard_answer(*, tp=0, fp=0, fn=0, tn=0, margin=30.0):
    """One sample, one sigmoid, in one row: logits +-margin with so many voxels of each kind."""
    answer = torch.tensor([True] * (tp + fp) + [False] * (fn + tn))
    truth = torch.tensor([True] * tp + [False] * fp + [True] * fn + [False] * tn)
    return (2 * answer.double() - 1).view(1, 1, 1, -1) * margin, truth.view(1, 1, 1, -1)


def gradient_of(loss, logits, target, mask=None) -> torch.Tensor:
    """Gradient of the value with respect to the logits."""
    logits = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target, mask), logits)
    return gradient


def random_sample(mode: Mode, space=(3, 4, 2), samples=2, seed=0, dtype=torch.float64):
    """Logits and a target in which every class is present in every sample."""
    random = torch.Generator().manual_seed(seed)
    outputs = OUTPUTS[mode]
    logits = torch.randn(samples, outputs, *space, generator=random, dtype=torch.float64).to(dtype)
    if mode == "multiclass":
        target = torch.randint(0, outputs, (samples, *space), generator=random)
        target.flatten(1)[:, :outputs] = torch.arange(outputs)
        return logits, target
    target = torch.rand(samples, outputs, *space, generator=random) < 0.4
    target.flatten(2)[:, :, 0] = True
    target.flatten(2)[:, :, 1] = False
    return logits, target


def certain(mode: Mode, target: torch.Tensor, margin: float = 30.0) -> torch.Tensor:
    """Logits that answer the target with certainty."""
    if mode == "multiclass":
        hot = torch.nn.functional.one_hot(target, OUTPUTS[mode]).movedim(-1, 1)
        return (2 * hot.double() - 1) * margin
    return (2 * target.double() - 1) * margin
