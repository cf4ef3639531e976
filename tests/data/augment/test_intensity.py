"""Values change as the formulas say, on each channel by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from segtrain.data.augment.draw import Change, ChannelChange, Noise, unchanged
from segtrain.data.augment.intensity import noise_field, recolour
from tests.data.augment.patches import recoloured, scan

IMAGE = torch.from_numpy(scan((20, 24, 18))[0])


def after(change: Change, thick=None, image=IMAGE):
    found = image.clone()
    recolour(change, found, thick)
    return found


def test_nothing_drawn_changes_nothing():
    assert torch.equal(after(unchanged(2)), IMAGE)


def test_noise_has_its_deviation_and_is_fixed_by_its_seed():
    first, again, other = (after(replace(unchanged(2), noise=Noise(0.08, seed))) for seed in (1, 1, 2))
    added = first - IMAGE
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert added.std().item() == pytest.approx(0.08, rel=0.03)
    assert added.mean().item() == pytest.approx(0, abs=0.003)
    assert torch.allclose(added, noise_field(Noise(0.08, 1), IMAGE), atol=1e-6)
    assert not torch.allclose(added[0], added[1])


def test_blur_and_low_resolution_are_one_after_the_other():
    sigmas, zoom = (0.5, 0.7, 1.0), 0.6
    blurred = ndimage.gaussian_filter(IMAGE[0].numpy().astype(float), sigmas, mode="mirror")
    coarse = [round(n * zoom) for n in IMAGE.shape[1:]]
    down = torch.nn.functional.interpolate(torch.from_numpy(blurred)[None, None], coarse, mode="nearest-exact")
    expected = torch.nn.functional.interpolate(down, IMAGE.shape[1:], mode="trilinear")[0, 0].float()
    both = Change(None, None, (ChannelChange(sigma_voxels=sigmas, zoom=zoom), ChannelChange()), ())
    found = after(both)
    assert torch.allclose(found[0], expected, atol=1e-5)
    assert torch.equal(found[1], IMAGE[1])


def test_voxels_do_not_grow_across_thick_slices():
    found = after(recoloured(zoom=0.5), thick=2)
    alone = after(recoloured(zoom=0.5), image=IMAGE[..., 7])
    assert torch.allclose(found[..., 7], alone, atol=1e-5)


def test_brightness_is_a_factor():
    assert torch.equal(after(recoloured(brightness=1.2)), IMAGE * 1.2)


@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_contrast_is_about_the_mean_and_keeps_the_range(factor):
    found = after(recoloured(contrast=factor))
    for before, now in zip(IMAGE, found, strict=True):
        expected = (before - before.mean()) * factor + before.mean()
        assert torch.allclose(now, expected.clamp(before.min(), before.max()), atol=1e-5)


@pytest.mark.parametrize("exponent", [0.7, 1.5])
def test_gamma_is_a_power_on_the_range_that_keeps_mean_and_deviation(exponent):
    found = after(recoloured(gamma=exponent))
    for before, now in zip(IMAGE.double(), found, strict=True):
        unit = ((before - before.min()) / (before.max() - before.min())) ** exponent
        expected = (unit - unit.mean()) / unit.std() * before.std() + before.mean()
        assert torch.allclose(now, expected.float(), atol=1e-4)


def test_inverted_gamma_is_gamma_of_the_negative():
    found = after(recoloured(inverted_gamma=1.4))
    assert torch.allclose(found, -after(recoloured(gamma=1.4), image=-IMAGE), atol=1e-6)
    assert not torch.allclose(found, after(recoloured(gamma=1.4)), atol=1e-2)


@pytest.mark.parametrize(
    "values",
    [
        {"contrast": 1.2},
        {"gamma": 1.3},
        {"inverted_gamma": 0.8},
        {"sigma_voxels": (1.0, 1.0, 1.0)},
        {"zoom": 0.5},
    ],
)
def test_a_flat_patch_stays_flat(values):
    flat = torch.full((2, 6, 5, 4), 0.25)
    assert torch.allclose(after(recoloured(**values), image=flat), flat, atol=1e-6)


def test_sums_do_not_depend_on_the_number_of_threads():
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 64, 64, 32)).astype(np.float32))
    change = recoloured(channels=1, contrast=1.2)
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(after(change, image=image))
    torch.set_num_threads(threads)
    assert torch.equal(*found)
