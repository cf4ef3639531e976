"""Sums and gradients equal those that autograd makes of the formulas, whatever the chunks."""

import pytest
import torch
import torch.nn.functional as F

from segtrain.losses import build_loss, chunks, one_pass
from segtrain.losses.asked import Asked
from segtrain.losses.entropy import PLAIN, Certainty, FocalEntropy
from segtrain.losses.one_pass import sigmoid_sums, softmax_sums

COSTS = (PLAIN, FocalEntropy(2.0), FocalEntropy(0.5))
VOXELS = 2500


@pytest.fixture(params=[1, 1 << 18], ids=["many chunks", "one chunk"])
def cut(request, monkeypatch):
    monkeypatch.setitem(chunks.CHUNK_VALUES, "cpu", (request.param, request.param))


def sample(weighted, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, VOXELS, generator=random, dtype=dtype).requires_grad_()
    classes = torch.randint(0, 3, (2, VOXELS), generator=random, dtype=torch.uint8)
    weight = torch.rand(2, VOXELS, generator=random, dtype=dtype) if weighted else None
    if weighted:
        weight[0, :7] = 0
        classes[0, :7] = 255
    return x, classes, weight


def mixed(sums):
    """One number in which every sum has its own factor."""
    random = torch.Generator().manual_seed(1)
    parts = (sums.hits, sums.answers, *sums.members, *sums.others)
    return sum((part * torch.randn(part.shape, generator=random, dtype=part.dtype)).sum() for part in parts)


def by_autograd(p, g, entropy, weight, *, split):
    weight = 1 if weight is None else weight.unsqueeze(1)
    inside = tuple((cost.value(Certainty.of(entropy)) * g * weight).sum(2) for cost in COSTS)
    outside = tuple((cost.value(Certainty.of(entropy)) * (1 - g) * weight).sum(2) for cost in COSTS) if split else ()
    return one_pass.Sums((p * g * weight).sum(2), (p * weight).sum(2), (g * weight).sum(2), inside, outside)


def assert_same(ours, theirs, x):
    torch.testing.assert_close(ours.truth, theirs.truth)
    torch.testing.assert_close(mixed(ours), mixed(theirs))
    torch.testing.assert_close(*(torch.autograd.grad(mixed(sums), x)[0] for sums in (ours, theirs)))


@pytest.mark.parametrize("weighted", [False, True])
def test_softmax(cut, weighted):
    x, classes, weight = sample(weighted)
    g = (classes.unsqueeze(1) == torch.arange(3).view(1, 3, 1)).double()
    entropy = -(x.log_softmax(1) * g).sum(1, keepdim=True)
    theirs = by_autograd(x.softmax(1), g, entropy, weight, split=False)
    assert_same(softmax_sums(x, classes, weight, Asked(COSTS, True)), theirs, x)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_sigmoid(cut, weighted, kind):
    x, _, weight = sample(weighted)
    truth = (torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) > 0.6).to(kind)
    entropy = F.binary_cross_entropy_with_logits(x, truth.double(), reduction="none")
    theirs = by_autograd(x.sigmoid(), truth.double(), entropy, weight, split=True)
    assert_same(sigmoid_sums(x, truth, weight, Asked(COSTS, True)), theirs, x)


def test_without_overlap_only_costs_are_summed(cut):
    x, classes, weight = sample(weighted=True)
    alone, beside = (softmax_sums(x, classes, weight, Asked(COSTS, overlap)) for overlap in (False, True))
    assert not alone.hits.any()
    assert not alone.answers.any()
    for one, other in zip(alone.members, beside.members, strict=True):
        torch.testing.assert_close(one, other)
    gradients = [torch.autograd.grad(sums.members[1].sum(), x)[0] for sums in (alone, beside)]
    torch.testing.assert_close(*gradients)


def test_ignored_voxels_may_hold_anything():
    x, classes, weight = sample(weighted=True)
    wild = x.detach().clone()
    wild[0, :, :7] = torch.tensor([float("nan"), float("inf"), -float("inf")]).view(3, 1)
    wild.requires_grad_()
    tame, odd = (mixed(softmax_sums(v, classes, weight, Asked(COSTS, True))) for v in (x, wild))
    assert tame == odd
    (gradient,) = torch.autograd.grad(odd, wild)
    assert torch.isfinite(gradient).all()
    assert not gradient[0, :, :7].any()


def test_a_certain_error_costs_what_its_logits_say():
    x = torch.tensor([[[200.0], [0.0]]], requires_grad=True)
    sums = softmax_sums(x, torch.tensor([[1]]), None, Asked((PLAIN,)))
    assert sums.members[0].tolist() == [[0.0, 200.0]]
    (gradient,) = torch.autograd.grad(sums.members[0].sum(), x)
    assert gradient.flatten().tolist() == [1.0, -1.0]


@pytest.mark.parametrize("shift", [-300.0, -40.0, 60.0, 300.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_all_logits_of_a_voxel_share_changes_nothing(shift, dtype):
    x, classes, _ = sample(weighted=False, dtype=dtype)
    far = x.detach().clone()
    far[:, :, ::3] += shift
    far.requires_grad_()
    near = far.detach().clone()
    near[:, :, ::3] -= shift
    near.requires_grad_()
    values = [mixed(softmax_sums(v, classes, None, Asked(COSTS, True))) for v in (far, near)]
    torch.testing.assert_close(*values)
    gradients = [torch.autograd.grad(value, v)[0] for value, v in zip(values, (far, near), strict=True)]
    torch.testing.assert_close(*gradients)


def test_infinite_or_undefined_logits_are_not_hidden():
    x, classes, _ = sample(weighted=False)
    for odd in (float("nan"), float("inf")):
        wild = x.detach().clone()
        wild[0, 0, 5] = odd
        assert torch.isnan(softmax_sums(wild, classes, None, Asked(COSTS, True)).hits[0]).any()


def test_without_a_gradient_nothing_as_large_as_the_logits_is_made(monkeypatch):
    made = []
    monkeypatch.setattr(one_pass, "unfilled", lambda *given: made.append(given))
    x, classes, weight = sample(weighted=True)
    with torch.no_grad():
        softmax_sums(x, classes, weight, Asked(COSTS, True))
        sigmoid_sums(x, torch.ones_like(x), weight, Asked(COSTS, True))
    assert not made


def test_backward_may_be_called_again():
    x, classes, _ = sample(weighted=False)
    value = mixed(softmax_sums(x, classes, None, Asked(COSTS, True)))
    first = torch.autograd.grad(value, x, retain_graph=True)[0].clone()
    torch.testing.assert_close(torch.autograd.grad(value, x)[0], first)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_get_gradients_of_their_own_kind(dtype):
    x, classes, _ = sample(weighted=False)
    half = x.detach().to(dtype).requires_grad_()
    sums = softmax_sums(half, classes, None, Asked(COSTS, True))
    assert sums.hits.dtype == torch.float32
    (gradient,) = torch.autograd.grad(mixed(sums), half)
    assert gradient.dtype == dtype


def test_parts_of_a_compound_share_one_pass(monkeypatch):
    calls = []
    whole = one_pass._Softmax.apply
    monkeypatch.setattr(one_pass._Softmax, "apply", lambda *given: calls.append(given) or whole(*given))
    build_loss("dice_ce")(torch.randn(1, 3, 4, 4, 4), torch.zeros(1, 4, 4, 4, dtype=torch.int64))
    assert len(calls) == 1


POWERS = (2.0, 1.5, 1.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("costs", [(), COSTS])
@pytest.mark.parametrize("exclusive", [False, True])
def test_powers_of_the_error(cut, weighted, costs, exclusive):
    x, classes, weight = sample(weighted)
    if exclusive:
        p, g = x.softmax(1), (classes.unsqueeze(1) == torch.arange(3).view(1, 3, 1)).double()
        sums = softmax_sums(x, classes, weight, Asked(costs, powers=POWERS))
    else:
        p, g = x.sigmoid(), torch.rand(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        sums = sigmoid_sums(x, g, weight, Asked(costs, powers=POWERS))
    errors = [(p - g).abs() ** q * (1 if weight is None else weight.unsqueeze(1)) for q in POWERS]
    theirs = [*((e * g).sum(2) for e in errors), *((e * (1 - g)).sum(2) for e in errors)]
    ours = [*sums.missed, *sums.invented]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    factors = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    totals = [(factors * torch.stack(found)).sum() for found in (ours, theirs)]
    torch.testing.assert_close(*(torch.autograd.grad(total, x)[0] for total in totals))


def test_a_focal_cost_is_known_up_to_the_rounding_of_a_probability():
    for gap in (0.0, 5.0, 10.0, 16.0, 30.0):
        x = torch.tensor([[[gap], [0.0]]])
        single, double = (
            softmax_sums(v, torch.tensor([[0]]), None, Asked((FocalEntropy(0.5),))).members[0][0, 0].item()
            for v in (x, x.double())
        )
        assert single == pytest.approx(double, rel=1e-5, abs=1e-7)


def test_no_probability_loses_digits_between_the_limits_of_a_safe_sum():
    assert one_pass.SAFE_TOTAL[0] * one_pass.SMALLEST >= torch.finfo(torch.float32).tiny
