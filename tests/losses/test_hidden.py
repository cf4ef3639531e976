"""Structures that nobody drew pull at nothing, whatever the loss."""

import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.hidden import with_known_alone
from segtrain.losses.targets import as_target

HIDDEN = torch.tensor([[False, False, True], [False, False, False]])
"""Class 2 of the first of two samples."""


def sample(activation):
    random = torch.Generator().manual_seed(0)
    outputs = 3 if activation == "softmax" else 2
    logits = torch.randn(2, outputs, 5, 4, 3, generator=random, dtype=torch.float64)
    classes = torch.randint(0, 2, (2, 5, 4, 3), generator=random)
    return logits.requires_grad_(), classes


def test_hidden_classes_are_one_with_the_background():
    logits, _ = sample("softmax")
    known = with_known_alone(logits, HIDDEN, "softmax").softmax(1)
    whole = logits.softmax(1)
    assert torch.allclose(known[0, 0], whole[0, 0] + whole[0, 2])
    assert torch.allclose(known[0, 1], whole[0, 1])
    assert not known[0, 2].any()
    assert torch.allclose(known[1], whole[1])


def test_with_cross_entropy_it_is_the_marginal_loss_of_shi_2021():
    logits, classes = sample("softmax")
    merged = with_known_alone(logits, HIDDEN, "softmax")
    ours = build_loss("ce", "multiclass")(merged[:1], classes[:1])
    theirs = build_loss("marginal_ce", "multiclass", unlabelled=[2])(logits[:1], classes[:1])
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["dice", "dice_ce", "tversky", "focal", "lovasz_softmax", "generalized_dice", "ce"])
def test_a_background_voxel_does_not_say_that_a_hidden_class_is_absent(name):
    """Where the network is torn between the background and the hidden class, no gradient takes sides."""
    logits, classes = sample("softmax")
    build_loss(name, "multiclass")(with_known_alone(logits, HIDDEN, "softmax"), classes).backward()
    gradient, share = logits.grad[0], logits.detach().softmax(1)[0]
    between = torch.where(classes[0] == 0, gradient[2] * share[0] - gradient[0] * share[2], 0.0)
    assert logits.grad.isfinite().all()
    assert torch.allclose(between, torch.zeros_like(between), atol=1e-7)


@pytest.mark.parametrize("name", ["dice", "bce", "focal", "lovasz_hinge"])
def test_a_hidden_sigmoid_has_no_gradient_and_costs_nothing(name):
    logits, classes = sample("sigmoid")
    hidden = HIDDEN[:, 1:]
    target, _ = as_target(classes, "multilabel", [(1,), (2,)], has_ignored=False)
    loss = build_loss(name, "multilabel")
    value = loss(with_known_alone(logits, hidden, "sigmoid"), target)
    value.backward()
    assert not logits.grad[0, 1].any()
    assert logits.grad[1, 1].any()
    assert value.isfinite()


def test_where_nothing_is_hidden_logits_stay():
    logits, _ = sample("softmax")
    assert torch.allclose(with_known_alone(logits, torch.zeros(2, 3, dtype=torch.bool), "softmax"), logits)
