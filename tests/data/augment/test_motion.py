"""Motions are those of geometry: known turns, sizes and bends."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from segtrain.data.augment.draw import Bend, Motion, draw
from segtrain.data.augment.motion import margin_of, matrix_of, move
from segtrain.data.augment.separable import control_points
from tests.data.augment.patches import changed, cut_from, frame_for, moving, only, scan

IMAGE, CLASSES = scan()


@pytest.mark.parametrize("size", [(9, 9, 9), (8, 8, 8)])
@pytest.mark.parametrize(("axis", "plane"), [(0, (1, 2)), (1, (2, 0)), (2, (0, 1))])
@pytest.mark.parametrize(("angle", "quarters"), [(90, -1), (-90, 1), (180, 2)])
def test_quarter_turns_are_numpys(size, axis, plane, angle, quarters):
    frame = frame_for(size)
    degrees = [0.0, 0.0, 0.0]
    degrees[axis] = angle
    before = cut_from(IMAGE, CLASSES, frame)
    image, classes = changed(moving(degrees), frame, IMAGE, CLASSES)
    assert np.array_equal(classes.numpy(), np.rot90(before.classes, quarters, plane))
    for found, channel in zip(image.numpy(), before.image, strict=True):
        assert np.allclose(found, np.rot90(channel, quarters, plane), atol=1e-4)


def test_a_quarter_turn_of_a_slice_is_numpys():
    frame = frame_for((9, 9))
    before = cut_from(IMAGE[:, :, :, 20], CLASSES[:, :, 20], frame)
    image, classes = changed(moving([90.0]), frame, IMAGE[:, :, :, 20], CLASSES[:, :, 20])
    assert np.array_equal(classes.numpy(), np.rot90(before.classes, -1))
    assert np.allclose(image[1].numpy(), np.rot90(before.image[1], -1), atol=1e-4)


@pytest.mark.parametrize("size", [(10, 13, 8), (10, 13)])
def test_turns_and_sizes_are_scipys_affine_transform(size):
    frame = frame_for(size, sides_mm=(1.0, 0.8, 1.5)[: len(size)])
    degrees = (20.0, -10.0, 30.0) if len(size) == 3 else (20.0,)
    image, classes = (IMAGE, CLASSES) if len(size) == 3 else (IMAGE[..., 20], CLASSES[..., 20])
    change = moving(degrees, 1.2)
    matrix = matrix_of(change.motion, frame)
    start = (np.array(classes.shape) - size) // 2
    centre = start + (np.array(size) - 1) / 2
    offset = centre - matrix @ ((np.array(size) - 1) / 2)
    moved, labels = changed(change, frame, image, classes)
    for found, channel in zip(moved.numpy(), image, strict=True):
        expected = ndimage.affine_transform(channel, matrix, offset, output_shape=size, order=1)
        assert np.allclose(found, expected, atol=1e-4)
    nearest = ndimage.affine_transform(classes, matrix, offset, output_shape=size, order=0)
    assert (labels.numpy() != nearest).mean() < 0.005, "ties may fall either way"


def test_a_turn_keeps_millimetres_where_voxels_are_no_cubes():
    frame = frame_for((9, 9, 9), sides_mm=(1.0, 1.5, 2.5))
    sides = np.array(frame.sides_mm)
    in_mm = matrix_of(Motion((20.0, -30.0, 10.0), 1.3, None), frame) * sides[:, None] / sides
    assert np.allclose(in_mm @ in_mm.T, 1.3**2 * np.eye(3))
    assert np.linalg.det(in_mm) == pytest.approx(1.3**3), "left stays left"


@pytest.mark.parametrize("field_of_view", [0.7, 1.0, 1.4, 2.0])
def test_sizes_are_known_on_a_ramp(field_of_view):
    frame = frame_for((8, 9, 7))
    ramp = np.stack([place - 19.5 for place in np.indices((40, 40, 40)).astype(np.float32)])[:2]
    before = cut_from(ramp, CLASSES, frame).image
    centre = before.mean(axis=(1, 2, 3), keepdims=True)
    image, _ = changed(moving(field_of_view=field_of_view), frame, ramp, CLASSES)
    assert np.allclose(image.numpy(), (before - centre) * field_of_view + centre, atol=1e-4)


@pytest.mark.parametrize("thick", [None, 0, 2])
@pytest.mark.parametrize("elastic", [False, True])
def test_no_motion_brings_in_what_was_not_cut(thick, elastic):
    frame = frame_for((12, 15, 9), sides_mm=(1.0, 1.3, 1.7), thick=thick)
    settings = only("rotation").model_copy(update={"scale": only("scale").scale})
    settings = settings.model_copy(update={"elastic": only("elastic").elastic}) if elastic else settings
    everywhere = np.ones((1, 90, 90, 90), np.float32)
    for index in range(40):
        motion = draw(settings, frame, 0, index).motion
        patch = cut_from(everywhere, everywhere[0].astype(np.uint8), frame, motion)
        image, classes = move(motion, frame, torch.from_numpy(patch.image), torch.from_numpy(patch.classes))
        assert image.shape == (1, *frame.size)
        assert image.min() > 0.999
        assert classes.min() == 1


def test_the_margin_is_what_the_motion_needs():
    frame = frame_for((8, 9, 7))
    assert margin_of(None, frame) == (0, 0, 0)
    assert margin_of(Motion((0.0,) * 3, 2.0, None), frame) == (4, 5, 4)
    assert margin_of(Motion((0.0,) * 3, 0.5, None), frame) == (-1, -1, -1)
    assert margin_of(Motion((0.0,), 2.0, None), frame_for((8, 9, 7), thick=1)) == (4, 0, 4)
    bend = Bend(4.0, np.zeros((3, *(control_points(n, 4.0) for n in frame.size))))
    bend.displacements[1, 0, 0, 0] = -2.5
    assert margin_of(Motion((0.0,) * 3, 1.0, bend), frame) == (1, 3, 1)


@pytest.mark.parametrize("thick", [0, 1, 2])
def test_slices_are_not_mixed_where_they_are_thick(thick):
    size = (9, 9, 9)
    frame, flat = frame_for(size, thick=thick), frame_for((9, 9))
    image, classes = changed(moving([25.0], 1.2), frame, IMAGE, CLASSES)
    for place in range(9):
        slice_ = np.take(IMAGE, 15 + place, axis=1 + thick), np.take(CLASSES, 15 + place, axis=thick)
        alone, labels = changed(moving([25.0], 1.2), flat, *slice_)
        assert torch.allclose(image.select(1 + thick, place), alone, atol=1e-5)
        assert torch.equal(classes.select(thick, place), labels)


@pytest.mark.parametrize(("size", "shift"), [((9, 11, 7), (1, -2, 0)), ((9, 11), (2, -1))])
def test_a_bend_whose_points_all_move_alike_is_a_shift(size, shift):
    frame = frame_for(size)
    points = [control_points(n, 4.0) for n in size]
    moved = np.array(shift, dtype=float).reshape(-1, *(1,) * len(size)) * np.ones((len(size), *points))
    image, classes = (IMAGE, CLASSES) if len(size) == 3 else (IMAGE[..., 20], CLASSES[..., 20])
    change = moving((0.0,) * (3 if len(size) == 3 else 1), 1.0, Bend(4.0, moved))
    found, labels = changed(change, frame, image, classes)
    start = (np.array(classes.shape) - size) // 2 + shift
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    assert np.allclose(found.numpy(), image[(slice(None), *box)], atol=1e-4)
    assert np.array_equal(labels.numpy(), classes[box])


def test_a_bend_moves_voxels_by_at_most_its_points_and_folds_nothing():
    frame = frame_for((24, 24, 24), channels=3)
    places = np.indices((64, 64, 64)).astype(np.float32)
    for index in range(5):
        change = draw(only("elastic", displacement=(0.4, 0.4)), frame, 0, index)
        before = cut_from(places, CLASSES_WIDE, frame).image
        come_from, _ = changed(change, frame, places, CLASSES_WIDE)
        assert 0.5 < np.abs(come_from.numpy() - before).max() <= 0.4 * 12
        steps = np.stack([np.gradient(come_from.numpy(), axis=axis) for axis in (1, 2, 3)], axis=1)
        assert np.linalg.det(steps.transpose(2, 3, 4, 0, 1)).min() > 0


CLASSES_WIDE = np.zeros((64, 64, 64), np.uint8)
