import numpy as np
import pytest

from segtrain.metrics.overlaid import cut_to_labels, overlay


def scene(shape=(20, 16, 12)):
    prediction, reference = np.zeros((2, *shape), np.uint8)
    prediction[4:8, 5:9, 3:6], reference[5:9, 5:9, 3:6] = 2, 2
    reference[15:17, 2:4, 9:11] = 7
    return prediction, reference


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_structure_is_seen_in_the_box_around_it(order, dtype):
    prediction, reference = (np.asarray(m, dtype, order=order) for m in scene())
    laid = overlay(cut_to_labels(prediction, reference, (1.0, 2.0, 3.0)), (0, 2, 7))
    ours, theirs = laid.masks([1])
    assert ours.shape == (5, 4, 3)
    assert (ours.sum(), theirs.sum()) == (48, 48)
    assert laid.spacing_mm == (1.0, 2.0, 3.0)


def test_what_was_cut_away_is_counted_as_background():
    prediction, reference = scene()
    laid = overlay(cut_to_labels(prediction, reference, (1, 1, 1)), (0, 2, 7))
    assert laid.histogram.sum() == prediction.size
    counts = laid.counts([1])
    assert (counts.tp, counts.fp, counts.fn) == (36, 12, 12)
    assert counts.tn == prediction.size - 60


def test_labels_taken_together():
    laid = overlay(cut_to_labels(*scene(), (1, 1, 1)), (0, 2, 7))
    ours, theirs = laid.masks([1, 2])
    assert ours.shape == (13, 7, 8)
    assert theirs.sum() == 48 + 8


def test_ignored_voxels_are_in_neither_mask():
    prediction, reference = scene()
    reference[:, :6] = 9
    laid = overlay(cut_to_labels(prediction, reference, (1, 1, 1)), (0, 2, 7), ignore=9)
    ours, theirs = laid.masks([1])
    assert (ours.sum(), theirs.sum()) == (36, 36)
    assert laid.histogram.sum() == (reference != 9).sum()


def test_two_empty_masks():
    empty = np.zeros((3, 4, 5), np.uint8)
    laid = overlay(cut_to_labels(empty, empty, (1, 1, 1)), (0, 1))
    assert laid.histogram[0, 0] == 60
