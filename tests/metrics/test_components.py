import numpy as np
import pytest

from segtrain.metrics.components import component_dice, matched, overlap_of


def line(*runs, length=30):
    mask = np.zeros((length, 3), bool)
    for start, stop in runs:
        mask[start:stop, 1] = True
    return mask


def test_components_touch_across_corners():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    mask[2, 2, 0] = True
    found = overlap_of(mask, mask)
    assert found.prediction.count == 1
    mask[1, 1, 1] = False
    assert overlap_of(mask, mask).prediction.count == 2


def test_found_missed_and_invented():
    reference = line((0, 4), (10, 14), (20, 24))
    prediction = line((0, 4), (12, 16), (26, 30))
    found = matched(overlap_of(prediction, reference), least_iou=0.1, least_voxels=1)
    assert (sorted(found.ious), found.missed, found.invented) == ([pytest.approx(1 / 3), 1.0], 1, 1)


def test_two_lesions_are_not_one_where_they_overlap_too_little():
    overlap = overlap_of(line((3, 7)), line((0, 4)))
    assert matched(overlap, least_iou=0.1, least_voxels=1).found == 1  # an IoU of 1 / 7
    assert matched(overlap, least_iou=0.2, least_voxels=1).found == 0


def test_one_lesion_is_matched_once_and_the_best_pairs_are_chosen():
    # The long prediction covers both lesions; the short one only the second.
    prediction, reference = line((0, 10), (11, 14)), line((0, 4), (6, 14))
    found = matched(overlap_of(prediction, reference), least_iou=0.0, least_voxels=1)
    assert sorted(found.ious) == [pytest.approx(3 / 8), pytest.approx(4 / 10)]


def test_small_components_count_nowhere():
    found = matched(overlap_of(line((0, 1), (5, 9)), line((0, 2), (5, 9), (20, 21))), least_iou=0.1, least_voxels=2)
    assert (found.found, found.missed, found.invented) == (1, 1, 0)


def test_each_component_has_its_surroundings():
    reference, prediction = line((0, 4), (20, 22)), line((0, 6), (18, 22))
    found = component_dice(prediction, overlap_of(prediction, reference), (1.0, 1.0))
    assert found == pytest.approx([2 * 4 / (4 + 6), 2 * 2 / (2 + 4)])


def test_surroundings_are_measured_in_mm():
    reference = np.zeros((9, 9), bool)
    reference[0, 4] = reference[4, 0] = True
    prediction = reference.copy()
    prediction[4, 4] = True  # 4 voxels from both
    near_first = component_dice(prediction, overlap_of(prediction, reference), (1.0, 2.0))
    near_second = component_dice(prediction, overlap_of(prediction, reference), (2.0, 1.0))
    assert near_first == pytest.approx([2 / 3, 1.0])
    assert near_second == pytest.approx([1.0, 2 / 3])


def test_a_missed_component_weighs_as_much_as_a_large_one():
    reference, prediction = line((0, 20), (25, 26)), line((0, 20))
    assert component_dice(prediction, overlap_of(prediction, reference), (1.0, 1.0)).mean() == 0.5


def test_pairs_are_those_of_one_large_assignment():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    reference = rng.random((40, 40)) < 0.35
    prediction = np.roll(reference, 1, 0) ^ (rng.random(reference.shape) < 0.05)
    overlap = overlap_of(prediction, reference)
    table = np.zeros((overlap.prediction.count, overlap.reference.count))
    for (a, b), voxels in zip(overlap.pairs, overlap.voxels, strict=True):
        iou = voxels / (overlap.prediction.sizes[a] + overlap.reference.sizes[b] - voxels)
        table[a - 1, b - 1] = iou if iou > 0.05 else 0
    best = table[linear_sum_assignment(table, maximize=True)]
    found = matched(overlap, least_iou=0.05, least_voxels=1)
    assert sum(found.ious) == pytest.approx(best.sum())
    assert found.found == (best > 0).sum() > 10


def test_thousands_of_components_take_little_memory():
    noise = np.random.default_rng(0).random((64, 64, 64)) < 0.01
    overlap = overlap_of(noise, np.roll(noise, 1, 0))
    assert overlap.prediction.count > 1000
    assert overlap.pairs.nbytes < 1e5
