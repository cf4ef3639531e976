import itertools

import numpy as np
import pytest
import torch

from segtrain.losses.soft_skeleton import CHUNK_VALUES, SLAB_VALUES, grown, soft_skeleton

SPACES = [(7, 6), (5, 6, 7), (1, 5, 4), (1, 1, 1)]


def moved(x, step, filling):
    """The neighbour at `step` of every voxel."""
    padded = np.pad(x, 1, constant_values=filling)
    return padded[tuple(slice(1 + s, 1 + s + n) for s, n in zip(step, x.shape, strict=True))]


def by_definition(x, iterations):
    """Shit 2021, Alg. 1, for one volume."""
    cube = list(itertools.product((-1, 0, 1), repeat=x.ndim))
    cross = [step for step in cube if sum(map(abs, step)) <= 1]
    skeleton = np.zeros_like(x)
    for _ in range(iterations + 1):
        eroded = np.min([moved(x, step, np.inf) for step in cross], 0)
        opened = np.max([moved(eroded, step, -np.inf) for step in cube], 0)
        lost = np.maximum(x - opened, 0)
        skeleton += lost - skeleton * lost
        x = eroded
    return skeleton


def random_maps(space, seed=0):
    return torch.rand(2, 3, *space, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient_of_sum(p, weights, *args):
    p = p.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad((soft_skeleton(p, *args) * weights).sum(), p)
    return gradient


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_it_is_what_the_paper_defines(space, iterations):
    p = random_maps(space)
    expected = [by_definition(volume, iterations) for volume in p.flatten(0, 1).numpy()]
    assert np.allclose(soft_skeleton(p, iterations).flatten(0, 1).numpy(), np.stack(expected), atol=1e-14)


@pytest.mark.parametrize("space", [(5, 4), (3, 4, 3)], ids=str)
def test_the_gradient_is_that_of_the_value(space):
    p = random_maps(space)[:, :1].requires_grad_()
    assert torch.autograd.gradcheck(lambda p: soft_skeleton(p, 2), (p,), eps=1e-7, atol=1e-5)


def test_ties_share_the_gradient_whichever_way_the_scan_lies():
    p = (random_maps((6, 6, 6)) * 3).round() / 3
    weights = random_maps((6, 6, 6), seed=1)
    gradient = gradient_of_sum(p, weights, 2)
    for axes in ((2,), (3, 4), (2, 3, 4)):
        assert torch.allclose(gradient_of_sum(p.flip(axes), weights.flip(axes), 2).flip(axes), gradient, atol=1e-12)


def test_ties_hand_on_all_of_the_gradient_once():
    p = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    p[..., 1:4, 1:4] = 0.5
    weights = torch.ones_like(p)
    step = 1e-6 * torch.ones_like(p)
    rise = (soft_skeleton(p + step, 3) - soft_skeleton(p, 3)).sum() / 1e-6
    assert gradient_of_sum(p, weights, 3).sum().item() == pytest.approx(rise.item(), rel=1e-4)


@pytest.mark.parametrize("space", [(5, 6), (3, 5, 6)], ids=str)
def test_what_is_outside_is_as_if_the_scan_ended_there(space):
    p, weights = random_maps(space), random_maps(space, seed=1)
    outside = torch.zeros(2, *space, dtype=torch.bool)
    outside[..., 4:] = True
    p[..., 4] = 1.0
    found = soft_skeleton(p, 2, outside)
    gradient = gradient_of_sum(p, weights, 2, outside)
    assert torch.equal(found[..., :4], soft_skeleton(p[..., :4], 2))
    assert torch.allclose(gradient[..., :4], gradient_of_sum(p[..., :4], weights[..., :4], 2), atol=1e-14)
    assert not found[..., 4:].any()
    assert not gradient[..., 4:].any()


def test_each_sample_has_its_own_outside():
    p = random_maps((5, 5))
    outside = torch.zeros(2, 5, 5, dtype=torch.bool)
    outside[1] = True
    found = soft_skeleton(p, 2, outside)
    assert torch.equal(found[0], soft_skeleton(p, 2)[0])
    assert not found[1].any()


def test_volumes_may_be_cut_into_any_chunks_and_slabs(monkeypatch):
    p, weights = random_maps((5, 6, 7)), random_maps((5, 6, 7), seed=1)
    value, gradient = soft_skeleton(p, 3), gradient_of_sum(p, weights, 3)
    for values in (1, 2 * p[0, 0].numel(), 100):
        monkeypatch.setitem(CHUNK_VALUES, "cpu", values)
        monkeypatch.setitem(SLAB_VALUES, "cpu", values)
        assert torch.equal(soft_skeleton(p, 3), value)
        assert torch.equal(gradient_of_sum(p, weights, 3), gradient)


def test_a_tube_has_its_centre_line():
    tube = torch.zeros(1, 1, 9, 20)
    tube[..., 2:7, :] = 1
    line = torch.zeros_like(tube)
    line[..., 4, :] = 1
    assert torch.equal(soft_skeleton(tube, 2), line)


def test_a_tube_that_is_too_thick_has_none():
    tube = torch.zeros(1, 1, 12, 20)
    tube[..., 2:9, :] = 1
    assert not soft_skeleton(tube, 2).any()
    assert soft_skeleton(tube, 3).any()


def test_a_saturated_map_has_a_finite_gradient():
    p = torch.zeros(1, 1, 6, 6)
    p[..., 2:5, :] = 1
    assert torch.isfinite(gradient_of_sum(p, torch.ones_like(p), 3)).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_a_voxel_grows_to_a_diamond(dtype):
    mask = torch.zeros(1, 1, 7, 7, dtype=dtype)
    mask[..., 3, 3] = 1
    rows, columns = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
    for radius in range(4):
        diamond = (rows - 3).abs() + (columns - 3).abs() <= radius
        assert torch.equal(grown(mask, radius)[0, 0], diamond.to(dtype))
