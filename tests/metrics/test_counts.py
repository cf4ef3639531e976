import numpy as np
import pytest

from segtrain.metrics import counts
from segtrain.metrics.counts import Counts, counts_of, joint_histogram, places_of


def random_masks(seed=0, ids=(0, 1, 2, 7), shape=(9, 8, 7)):
    rng = np.random.default_rng(seed)
    return rng.choice(ids, shape).astype(np.int32), rng.choice(ids, shape).astype(np.int16)


def histogram_of(prediction, reference, ids, valid=None):
    return joint_histogram(places_of(prediction, ids), places_of(reference, ids), len(ids) + 1, valid)


def counted(p, r):
    return Counts(int((p & r).sum()), int((p & ~r).sum()), int((~p & r).sum()), int((~p & ~r).sum()))


@pytest.mark.parametrize("ids", [(0, 1, 2, 7), (0, 4, 207, 14175), (0, 3, 1_000_000), (-5, 0, 3)])
def test_one_pass_gives_what_a_pass_per_label_gives(ids):
    rng = np.random.default_rng(1)
    prediction, reference = (rng.choice(ids, (9, 8, 7)).astype(np.int64) for _ in range(2))
    histogram = histogram_of(prediction, reference, ids)
    for place, label in enumerate(ids):
        assert counts_of(histogram, [place]) == counted(prediction == label, reference == label)


def test_labels_that_are_taken_together_count_as_one_mask():
    prediction, reference = random_masks()
    histogram = histogram_of(prediction, reference, (0, 1, 2, 7))
    assert counts_of(histogram, [1, 3]) == counted(np.isin(prediction, (1, 7)), np.isin(reference, (1, 7)))


def test_ids_that_are_not_asked_for_are_counted_as_other():
    prediction, reference = random_masks()
    histogram = histogram_of(prediction, reference, (1, 2))
    assert histogram.sum() == prediction.size
    assert histogram[2].sum() == np.isin(prediction, (0, 7)).sum()


def test_blocks_do_not_matter(monkeypatch):
    prediction, reference = random_masks()
    whole = histogram_of(prediction, reference, (0, 1, 2, 7))
    monkeypatch.setattr(counts, "BLOCK_VOXELS", 10)
    assert (histogram_of(prediction, reference, (0, 1, 2, 7)) == whole).all()
    valid = np.ones(prediction.shape, bool)
    assert (histogram_of(prediction, reference, (0, 1, 2, 7), valid) == whole).all()


def test_invalid_voxels_do_not_count():
    prediction, reference = np.array([1, 1, 0, 1]), np.array([1, 0, 1, 1])
    valid = np.array([True, True, True, False])
    assert counts_of(histogram_of(prediction, reference, (1,), valid), [0]) == Counts(tp=1, fp=1, fn=1)


def test_small_unsigned_ids_do_not_wrap():
    prediction = np.array([255, 0, 1], np.uint8)
    reference = np.array([255, 255, 1], np.uint8)
    assert counts_of(histogram_of(prediction, reference, (255,)), [0]) == Counts(1, 0, 1, 1)
    huge = np.array([2**63 + 1, 1], np.uint64)
    assert counts_of(histogram_of(huge, huge, (1,)), [0]) == Counts(1, 0, 0, 1)


def test_bytes_are_looked_up_even_where_ids_lie_beyond_them():
    assert places_of(np.array([0, 4, 255], np.uint8), (0, 4, 300)).tolist() == [0, 1, 3]
