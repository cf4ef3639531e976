"""Values worked out by hand: a 3x3x3 cube (27 voxels) and the same cube moved by one voxel share 18."""

import numpy as np
import pytest

from segtrain.metrics import score

ALL = ("dice", "iou", "sensitivity", "precision", "relative_volume_error", "volume_similarity")


def cube(start=(2, 2, 2), size=(3, 3, 3), shape=(9, 9, 9)):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = 1
    return mask


def values(prediction, reference, metrics=ALL):
    return {m: s.value for m, s in score(prediction, reference, (1, 1, 3), metrics=metrics)["1"].items()}


def test_a_cube_moved_by_one_voxel():
    found = values(cube((3, 2, 2)), cube())
    assert found == pytest.approx(
        {
            "dice": 2 * 18 / 54,
            "iou": 18 / 36,
            "sensitivity": 18 / 27,
            "precision": 18 / 27,
            "relative_volume_error": 0.0,
            "volume_similarity": 1.0,
        }
    )


def test_a_cube_inside_a_larger_one():
    found = values(cube(size=(3, 3, 1)), cube())
    assert found == pytest.approx(
        {
            "dice": 2 * 9 / 36,
            "iou": 9 / 27,
            "sensitivity": 9 / 27,
            "precision": 1.0,
            "relative_volume_error": -18 / 27,
            "volume_similarity": 1 - 18 / 36,
        }
    )


def test_cubes_that_do_not_touch_have_equal_volumes_and_no_overlap():
    found = values(cube((0, 0, 0)), cube((5, 5, 5)))
    assert found["dice"] == found["iou"] == 0
    assert found["volume_similarity"] == 1


def test_specificity_counts_what_is_in_neither_mask():
    # 729 voxels, 27 of them in the reference, 9 voxels predicted beside it.
    found = values(cube((3, 2, 2)), cube(), ["specificity"])
    assert found["specificity"] == (729 - 27 - 9) / (729 - 27)
    whole = np.ones((3, 3, 3), np.uint8)
    assert values(whole, whole, ["specificity"])["specificity"] is None


def test_swapping_the_masks():
    a, b = cube((1, 2, 2), (4, 3, 3)), cube()
    there, back = values(a, b), values(b, a)
    for same in ("dice", "iou", "volume_similarity"):
        assert there[same] == back[same]
    assert there["sensitivity"] == back["precision"]
    assert 1 + there["relative_volume_error"] == pytest.approx(1 / (1 + back["relative_volume_error"]))


def test_padding_flipping_and_turning_change_nothing():
    a, b = cube((1, 2, 2), (4, 3, 3)), cube()
    plain = values(a, b)
    assert values(np.pad(a, 4), np.pad(b, 4)) == plain
    assert values(a[::-1], b[::-1]) == plain
    assert values(a.transpose(2, 0, 1), b.transpose(2, 0, 1)) == plain


def test_dice_and_iou_are_one_quantity():
    found = values(cube((1, 2, 2), (4, 3, 3)), cube())
    assert found["dice"] == pytest.approx(2 * found["iou"] / (1 + found["iou"]))
