import numpy as np
import pytest

from segtrain.metrics import score
from segtrain.metrics.settings import EvaluationSettings

NAMES = ("lesion_f1", "lesion_sensitivity", "lesion_precision", "pq", "component_dice")


def scene(*runs):
    mask = np.zeros((40, 3, 3), np.uint8)
    for start, stop in runs:
        mask[start:stop, 1, 1] = 1
    return mask


def values(prediction, reference, **rules):
    settings = EvaluationSettings(metrics=NAMES, **rules)
    found = score(prediction, reference, (2.0, 1.0, 1.0), settings=settings)["1"]
    return {name: found[name].value for name in NAMES}


REFERENCE = scene((0, 4), (10, 14), (20, 24), (30, 31))
PREDICTION = scene((0, 4), (11, 14), (26, 28))


def test_counted_by_hand():
    # Two of four lesions found (IoU 1 and 3/4), one invented.
    found = values(PREDICTION, REFERENCE)
    assert found["lesion_f1"] == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))
    assert found["lesion_sensitivity"] == 2 / 4
    assert found["lesion_precision"] == 2 / 3
    assert found["pq"] == pytest.approx((1 + 3 / 4) / (2 + 3 / 2))


def test_the_smallest_volume_is_in_mm3():
    found = values(PREDICTION, REFERENCE, lesion_min_volume_mm3=4.5)
    # Voxels of 2 mm3: lesions of one voxel, and of two, are left out of both masks.
    assert found["lesion_sensitivity"] == pytest.approx(2 / 3)
    assert found["lesion_precision"] == 1.0


def test_nothing_is_left_to_count():
    found = values(PREDICTION, REFERENCE, lesion_min_volume_mm3=100)
    assert [found[name] for name in NAMES[:4]] == [None] * 4


def test_lesions_that_are_too_small_count_nowhere_even_where_one_mask_is_empty():
    small, nothing = scene((3, 4)), scene()
    settings = EvaluationSettings(metrics=NAMES, lesion_min_volume_mm3=50)

    def found(prediction, reference):
        scores = score(prediction, reference, (1, 1, 1), settings=settings, labels={"1": 1})["1"]
        return [scores[name].value for name in NAMES[:4]]

    assert found(small, nothing) == found(nothing, small) == found(small, small) == [None] * 4
    large = np.ones_like(small)
    assert found(large, nothing) == [0, None, 0, 0]
    assert found(nothing, large) == [0, 0, None, 0]


def test_a_size_of_exactly_the_smallest_counts():
    one_voxel = scene((3, 4))
    settings = EvaluationSettings(metrics=("lesion_f1",), lesion_min_volume_mm3=0.343)
    assert score(one_voxel, one_voxel, (0.7, 0.7, 0.7), settings=settings)["1"]["lesion_f1"].value == 1


def test_a_match_needs_more_than_the_smallest_iou():
    assert values(PREDICTION, REFERENCE, lesion_match_iou=0.8)["lesion_sensitivity"] == 1 / 4


def test_swapping_the_masks_swaps_sensitivity_and_precision():
    there, back = values(PREDICTION, REFERENCE), values(REFERENCE, PREDICTION)
    assert there["lesion_sensitivity"] == back["lesion_precision"]
    for same in ("lesion_f1", "pq"):
        assert there[same] == pytest.approx(back[same])


def test_component_dice_is_a_mean_over_lesions():
    assert values(PREDICTION, REFERENCE)["component_dice"] == pytest.approx((1 + 2 * 3 / 7 + 0 + 0) / 4)


def test_a_card_says_how_lesions_are_told_apart():
    from segtrain.metrics.chosen import chosen_metrics

    settings = EvaluationSettings(metrics=("lesion_f1", "pq"), lesion_min_volume_mm3=50)
    f1, pq = (metric.card.definition for metric in chosen_metrics(settings).values())
    assert "26-connected components, those below 50 mm3 left out, matched one to one where their IoU is above 0.1" in f1
    assert "above 0.5" in pq
