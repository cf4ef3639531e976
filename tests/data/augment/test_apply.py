"""A drawn change does what it says."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import Change

IMAGE = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 9, 11, 7))).float()
CLASSES = (IMAGE[0] > 0.5).to(torch.uint8)


def change(**values) -> Change:
    neutral = {"matrix": None, "flips": (), "factor": 1.0, "shift": 0.0, "exponent": 1.0, "noise": 0.0, "noise_seed": 0}
    return Change(**{**neutral, **values})


def test_nothing_drawn_changes_nothing():
    image, classes = apply(change(), IMAGE, CLASSES)
    assert torch.equal(image, IMAGE)
    assert torch.equal(classes, CLASSES)


def test_the_identity_matrix_changes_nothing():
    image, classes = apply(change(matrix=np.eye(3)), IMAGE, CLASSES)
    assert torch.allclose(image, IMAGE, atol=1e-5)
    assert torch.equal(classes, CLASSES)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_matrix_moves_voxels_as_scipy_does(dims):
    image = IMAGE[:, :, :, 3] if dims == 2 else IMAGE
    matrix = np.eye(dims) * 0.9
    matrix[0, 1], matrix[1, 0] = 0.25, -0.15
    centre = (np.array(image.shape[1:]) - 1) / 2
    expected = ndimage.affine_transform(
        image[0].numpy(), matrix, centre - matrix @ centre, order=1, mode="grid-constant"
    )
    moved, _ = apply(change(matrix=matrix), image, image[0].gt(0).to(torch.uint8))
    assert np.abs(moved[0].numpy() - expected).max() < 1e-4


def test_image_and_classes_are_mirrored_together():
    image, classes = apply(change(flips=(1,)), IMAGE, CLASSES)
    assert torch.equal(image, IMAGE.flip(2))
    assert torch.equal(classes, CLASSES.flip(1))


def test_contrast_and_brightness_are_about_the_mean():
    image, _ = apply(change(factor=1.5, shift=0.25), IMAGE, CLASSES)
    assert image[1].mean().item() == pytest.approx(IMAGE[1].mean().item() + 0.25, abs=1e-5)
    assert image[1].std().item() == pytest.approx(1.5 * IMAGE[1].std().item(), rel=1e-5)


def test_gamma_keeps_range_and_order():
    image, _ = apply(change(exponent=1.3), IMAGE, CLASSES)
    assert image.amin().item() == pytest.approx(IMAGE.amin().item())
    assert image[0].amax().item() == pytest.approx(IMAGE[0].amax().item())
    assert torch.equal(image[0].flatten().argsort(), IMAGE[0].flatten().argsort())


def test_noise_is_fixed_by_its_seed():
    first, again, other = (apply(change(noise=0.1, noise_seed=s), IMAGE, CLASSES)[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first - IMAGE).std().item() == pytest.approx(0.1, rel=0.1)
