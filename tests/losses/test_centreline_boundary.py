import numpy as np
import pytest
import torch
from scipy import ndimage

from segtrain.losses import build_loss
from segtrain.losses.soft_skeleton import soft_skeleton
from tests.losses.fixtures import certain, gradient_of, random_sample


def value(sample, mode="auto", mask=None, **options):
    return build_loss("cbdice", mode, **options)(*sample, mask).item()


def tubes(*radii):
    """One sample, one sigmoid: straight tubes in space, one beside the other."""
    y, z, _ = torch.meshgrid(torch.arange(15), torch.arange(15 * len(radii)), torch.arange(20), indexing="ij")
    found = torch.zeros(y.shape, dtype=torch.bool)
    for place, radius in enumerate(radii):
        found |= (y - 7) ** 2 + (z - 7 - 15 * place) ** 2 < radius**2
    return found[None, None]


def answered(mask, truth):
    return certain("binary", mask), truth


def published(p, g, iterations, smooth):
    """The authors' code for one mask, where a centre line never leaves its mask and never lies in a deeper one."""
    axes = p.ndim

    def measured(values, line):
        mask = values > 0.5
        on_line = (line > 0.5) & mask
        depth = ndimage.distance_transform_edt(mask)
        largest = max((depth * on_line).max(), 1)
        depth = np.minimum(depth, largest) / largest
        radius = depth * on_line
        inverse = np.where(on_line, (1 + 1e-7) / (radius ** (axes - 1) + 1e-7), 0)
        return depth * values, radius * values, inverse * line

    lines = [soft_skeleton(torch.from_numpy(v)[None, None], iterations)[0, 0].numpy() for v in (p, g)]
    (depth_p, radius_p, line_p), (depth_g, radius_g, line_g) = measured(p, lines[0]), measured(g, lines[1])

    def scored(line, found, own, other):
        whole = line * np.where((own != 0) & (other == 0), own, other)
        if np.any(line * found > whole + 1e-12):
            return None
        return ((line * found).sum() + smooth) / (whole.sum() + smooth)

    precision, recall = scored(line_p, depth_g, radius_p, radius_g), scored(line_g, depth_p, radius_g, radius_p)
    return None if precision is None or recall is None else 1 - 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("space", [(12, 14), (7, 8, 9)], ids=["2d", "3d"])
def test_it_is_the_authors_code_where_that_is_bounded(space):
    compared = 0
    for seed in range(40):
        logits, target = random_sample("binary", samples=1, space=space, seed=seed)
        smooth = torch.nn.functional.avg_pool2d if len(space) == 2 else torch.nn.functional.avg_pool3d
        logits = 8 * smooth(logits, 3, 1, 1)
        target = smooth(target.double(), 3, 1, 1) > 0.45
        expected = published(logits.sigmoid()[0, 0].numpy(), target[0, 0].double().numpy(), 3, 1.0)
        if expected is not None:
            compared += 1
            assert value((logits, target), iterations=3) == pytest.approx(expected, abs=1e-7)
    assert compared >= 5


def test_it_never_costs_less_than_nothing():
    for seed in range(20):
        assert value(random_sample("binary", space=(9, 9), seed=seed)) >= 0


def test_a_thin_tube_that_is_missed_costs_more_than_a_thick_one():
    truth = tubes(2, 6)
    missed = {name: truth.clone() for name in ("thin", "thick")}
    missed["thin"][..., :15, :] = False
    missed["thick"][..., 15:, :] = False
    costs = {name: value(answered(mask, truth), iterations=6) for name, mask in missed.items()}
    assert costs["thin"] > 1.5 * costs["thick"]


def test_larger_voxels_change_nothing_and_longer_ones_do():
    logits, target = random_sample("binary", space=(9, 9))
    sample = 3 * logits, target
    costs = {spacing: value(sample, spacing_mm=spacing) for spacing in [(1, 1), (3, 3), (1, 3)]}
    assert costs[1, 1] == pytest.approx(costs[3, 3])
    assert costs[1, 1] != pytest.approx(costs[1, 3])
    found = build_loss("cbdice")(*sample, spacing_mm=(1, 3))
    assert found.item() == costs[1, 3]


def test_a_full_and_an_empty_scan_are_finite():
    full, empty = torch.ones(1, 1, 5, 6, dtype=torch.bool), torch.zeros(1, 1, 5, 6, dtype=torch.bool)
    for answer in (full, empty):
        for truth in (full, empty):
            logits = certain("binary", answer, margin=3.0)
            assert np.isfinite(value((logits, truth)))
            assert torch.isfinite(gradient_of(build_loss("cbdice"), logits, truth)).all()
