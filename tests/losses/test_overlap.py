import pytest
import torch

from segtrain.losses.overlap import overlap, power_overlap, sizes
from segtrain.losses.voxels import Extras, Reading, read
from tests.losses.fixtures import double, fixture_b, fixture_b2, fixture_m, hard_answer, random_sample


def counted(logits, target, mask=None, mode="auto", **options):
    return overlap(read(logits, target, mask, Reading(mode)), **options)


def test_soft_counts_of_fixture_b():
    counts = counted(*fixture_b())
    found = [n.item() for n in (counts.tp, counts.fp, counts.fn, counts.tn, counts.size, counts.voxels)]
    assert found == pytest.approx([2.333371, 1.119203, 0.666629, 1.880797, 3, 6], abs=6e-7)


def test_hard_answers_are_counted_as_whole_voxels():
    counts = counted(*hard_answer(tp=5, fp=3, fn=2, tn=7))
    found = [n.item() for n in (counts.tp, counts.fp, counts.fn, counts.tn)]
    assert found == pytest.approx([5, 3, 2, 7], abs=1e-10)


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_four_counts_share_out_the_valid_voxels(mode, masked):
    logits, target = random_sample(mode)
    mask = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(5)) > 0.4 if masked else None
    counts = counted(logits, target, mask, mode)
    expected = (mask if masked else torch.ones(2, 24)).reshape(2, -1).sum(1, keepdim=True).double()
    assert torch.equal(counts.voxels, expected.expand_as(counts.tp))
    assert torch.allclose(counts.tp + counts.fn, counts.size)
    assert torch.allclose(counts.tp + counts.fp + counts.fn + counts.tn, counts.voxels)
    assert all((n >= 0).all() for n in (counts.tp, counts.fp, counts.fn, counts.tn))


def test_the_first_classes_are_left_out_after_the_softmax():
    every, foreground = counted(*fixture_m()), counted(*fixture_m(), first=1)
    assert foreground.tp.shape == (1, 2)
    assert torch.equal(foreground.tp, every.tp[:, 1:])
    assert torch.equal(foreground.fp, every.fp[:, 1:])


def test_pooling_adds_up_samples_then_classes():
    logits, target = random_sample("multilabel")
    counts = counted(logits, target)
    assert counts.pooled("sample") is counts
    assert torch.equal(counts.pooled("batch").fp, counts.fp.sum(0, keepdim=True))
    assert counts.pooled("flat").fp.shape == (1, 1)
    assert counts.pooled("flat").fp.item() == pytest.approx(counts.fp.sum().item())


def test_flat_pooling_weighs_the_classes():
    counts = counted(*random_sample("multilabel"))
    weighted = counts.pooled("flat", double([1, 3]))
    assert weighted.tp.item() == pytest.approx((counts.tp[:, 0] + 3 * counts.tp[:, 1]).sum().item())
    assert weighted.tn.item() == pytest.approx((counts.tn[:, 0] + 3 * counts.tn[:, 1]).sum().item())


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_squared_errors_make_the_denominator_a_sum_of_squares(mode):
    logits, target = random_sample(mode)
    voxels = read(logits, target, None, Reading(mode))
    counts = power_overlap(voxels, 2.0)
    squares = (voxels.probabilities**2).sum(-1) + voxels.membership.sum(-1)
    assert torch.allclose(2 * counts.tp + counts.fp + counts.fn, squares)


def test_a_power_next_to_one_is_next_to_the_plain_counts():
    plain, near = counted(*fixture_b2()), power_overlap(read(*fixture_b2(), None, Reading()), 1 + 1e-9)
    assert torch.allclose(plain.fp, near.fp)
    assert torch.allclose(plain.fn, near.fn)


def test_soft_targets_share_a_voxel_between_inside_and_outside():
    logits, _ = fixture_b()
    counts = counted(logits, torch.full_like(logits, 0.25))
    p = logits.sigmoid().sum().item()
    found = [counts.tp.item(), counts.fp.item(), counts.size.item()]
    assert found == pytest.approx([0.25 * p, 0.75 * p, 1.5])


def test_sizes_carry_no_gradient():
    logits, target = random_sample("binary")
    counts = counted(logits.requires_grad_(), target)
    assert counts.tp.requires_grad
    assert not counts.size.requires_grad
    assert not counts.voxels.requires_grad


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_powers_of_errors_are_those_of_soft_truths_too(mode, power):
    logits, target = random_sample(mode)
    soft = torch.rand(target.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    counts = power_overlap(read(logits, soft, None, Reading(mode)), power)
    errors = (logits.sigmoid() - soft).abs() ** power
    assert torch.allclose(counts.fp + counts.fn, errors.flatten(2).sum(-1))
    assert torch.allclose(counts.fn, (soft * errors).flatten(2).sum(-1))


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sizes_are_those_of_the_counts_and_make_no_pass(mode, masked, weighted, monkeypatch):
    random = torch.Generator().manual_seed(5)
    mask = torch.rand(2, 3, 4, 2, generator=random) > 0.4 if masked else None
    extras = Extras(torch.rand(2, 3, 4, 2, generator=random) if weighted else None)
    voxels = read(*random_sample(mode), mask, Reading(mode), extras)
    expected = overlap(voxels)
    monkeypatch.setattr(type(voxels), "sums", None)
    found = sizes(voxels)
    assert torch.allclose(found.size, expected.size)
    assert torch.equal(found.voxels, expected.voxels)
