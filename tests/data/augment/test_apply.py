"""A batch of changes: each patch gets its own, and only that."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from segtrain.data.augment.apply import apply
from segtrain.data.augment.draw import draw, unchanged
from tests.data.augment.patches import ALWAYS, CPU, KINDS, changed, cut_from, frame_for, only, scan

FRAME = frame_for((12, 14, 10))
IMAGE, CLASSES = scan((60, 60, 60))


def batch(changes, frame=FRAME, image=IMAGE, classes=CLASSES):
    return apply(changes, [cut_from(image, classes, frame, change.motion) for change in changes], frame, CPU)


def test_a_patch_that_draws_nothing_is_bit_for_bit_what_was_cut():
    patch = cut_from(IMAGE, CLASSES, FRAME)
    images, classes = batch([unchanged(2)])
    assert (images.dtype, classes.dtype) == (torch.float32, torch.uint8)
    assert np.array_equal(images[0].numpy(), patch.image)
    assert np.array_equal(classes[0].numpy(), patch.classes)


@pytest.mark.parametrize("size", [(12, 14, 10), (12, 14)])
def test_a_sample_does_not_depend_on_its_neighbours(size):
    frame = frame_for(size)
    image, classes = (IMAGE, CLASSES) if len(size) == 3 else (IMAGE[..., 30], CLASSES[..., 30])
    changes = [draw(ALWAYS, frame, 0, index) for index in range(6)]
    together, labels = batch(changes, frame, image, classes)
    backwards, _ = batch(changes[::-1], frame, image, classes)
    for place, change in enumerate(changes):
        alone, label = changed(change, frame, image, classes)
        assert torch.equal(together[place], alone)
        assert torch.equal(backwards[len(changes) - 1 - place], alone)
        assert torch.equal(labels[place], label)


def test_applying_twice_gives_the_same_and_leaves_the_patches():
    changes = [draw(ALWAYS, FRAME, 1, index) for index in range(4)]
    patches = [cut_from(IMAGE, CLASSES, FRAME, change.motion) for change in changes]
    before = [(patch.image.copy(), patch.classes.copy()) for patch in patches]
    first, second = (apply(changes, patches, FRAME, CPU) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    for patch, (image, classes) in zip(patches, before, strict=True):
        assert np.array_equal(patch.image, image)
        assert np.array_equal(patch.classes, classes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(12, 14, 10), (12, 14)])
def test_every_kind_changes_the_image_and_only_motion_the_labels(kind, size):
    frame = frame_for(size)
    image, classes = (IMAGE, CLASSES) if len(size) == 3 else (IMAGE[..., 30], CLASSES[..., 30])
    before = cut_from(image, classes, frame)
    settings = only(kind, zoom=(0.5, 0.9)) if kind == "low_resolution" else only(kind)  # 0.98 of 12 voxels is 12
    same_labels = []
    for index in range(5):
        found, labels = changed(draw(settings, frame, 0, index), frame, image, classes)
        assert found.shape == before.image.shape
        assert torch.isfinite(found).all()
        for channel, old in zip(found, before.image, strict=True):
            assert not np.allclose(channel.numpy(), old, atol=1e-5)
        same_labels.append(np.array_equal(labels.numpy(), before.classes))
    assert all(same_labels) == (kind not in ("rotation", "scale", "elastic"))


def test_labels_keep_their_set_of_values():
    classes = np.where(CLASSES == 2, 255, CLASSES).astype(np.uint8)
    _, labels = batch([draw(ALWAYS, FRAME, 0, index) for index in range(20)], classes=classes)
    assert set(labels.unique().tolist()) == {0, 1, 255}


@pytest.mark.parametrize("mirrored", [(0,), (1, 2)])
def test_image_and_labels_are_mirrored_together(mirrored):
    before = cut_from(IMAGE, CLASSES, FRAME)
    images, classes = batch([replace(unchanged(2), mirrored=mirrored)])
    assert np.array_equal(images[0].numpy(), np.flip(before.image, [axis + 1 for axis in mirrored]))
    assert np.array_equal(classes[0].numpy(), np.flip(before.classes, mirrored))
