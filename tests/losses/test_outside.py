"""Sums and gradients equal those that autograd makes of the formula, and hold where 1 - p rounds to 0."""

import pytest
import torch

from segtrain.losses import chunks
from segtrain.losses.outside import outside_sums
from tests.losses.fixtures import double


@pytest.fixture(params=[1, 1 << 18], ids=["many chunks", "one chunk"])
def cut(request, monkeypatch):
    monkeypatch.setitem(chunks.CHUNK_VALUES, "cpu", (request.param, request.param))


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_gradient(cut, classes, weighted):
    random = torch.Generator().manual_seed(0)
    x = (3 * torch.randn(2, classes, 1500, generator=random, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, classes, (2, 1500), generator=random)
    weight = torch.rand(2, 1500, generator=random, dtype=torch.float64) if weighted else None
    g = torch.nn.functional.one_hot(labels, classes).movedim(-1, 1)
    theirs = (-(1 - g) * torch.log(1 - x.softmax(1)) * (1 if weight is None else weight.unsqueeze(1))).sum(2)
    ours = outside_sums(x, labels, weight)
    torch.testing.assert_close(ours, theirs)
    of_sums = torch.rand(2, classes, generator=random, dtype=torch.float64)
    torch.testing.assert_close(*(torch.autograd.grad((s * of_sums).sum(), x)[0] for s in (ours, theirs)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [60.0, 1e4])
def test_a_certain_error_keeps_its_cost_and_its_gradient(dtype, margin):
    x = torch.tensor([[[margin], [0], [0]]], dtype=dtype, requires_grad=True)
    sums = outside_sums(x, torch.tensor([[1]]), None)
    assert sums[0, 0].item() == pytest.approx(margin - double([2]).log().item())
    (gradient,) = torch.autograd.grad(sums.sum(), x)
    assert gradient.flatten().tolist() == pytest.approx([1, -0.5, -0.5])


def test_a_certain_right_answer_costs_nothing():
    x = torch.tensor([[[1e4], [0], [-1e4]]], requires_grad=True)
    sums = outside_sums(x, torch.tensor([[0]]), None)
    (gradient,) = torch.autograd.grad(sums.sum(), x)
    assert not sums.any()
    assert not gradient.any()


def test_ignored_voxels_may_hold_anything():
    x = torch.tensor([[[torch.nan, 1.0], [torch.inf, 0.0]]], requires_grad=True)
    sums = outside_sums(x, torch.tensor([[255, 0]]), torch.tensor([[0.0, 1.0]]))
    (gradient,) = torch.autograd.grad(sums.sum(), x)
    assert torch.isfinite(sums).all()
    assert gradient[0, :, 0].tolist() == [0, 0]
    assert torch.isfinite(gradient).all()
