import pytest

from segtrain.core.scores import Score
from segtrain.metrics import score
from segtrain.metrics.empties import WHEN_EMPTY, empty_score, status_of
from segtrain.metrics.registry import METRICS, definition

FULL, EMPTY = [[1, 0], [1, 0]], [[0, 0], [0, 0]]

POLICY = [
    # metric, prediction empty, reference empty
    ("dice", 0.0, 0.0),
    ("iou", 0.0, 0.0),
    ("sensitivity", 0.0, None),
    ("precision", None, 0.0),
    ("relative_volume_error", -1.0, None),
    ("volume_similarity", 0.0, 0.0),
]


def test_the_policy_covers_every_registered_metric():
    assert {row[0] for row in POLICY} == set(METRICS.names()) == set(WHEN_EMPTY)


@pytest.mark.parametrize(("metric", "pred_empty", "ref_empty"), POLICY)
def test_each_row_of_the_table(metric, pred_empty, ref_empty):
    def of(prediction, reference):
        return score(prediction, reference, (1, 1), metrics=[metric], labels={"a": 1})["a"][metric]

    assert of(EMPTY, FULL) == Score(pred_empty, "pred_empty")
    assert of(FULL, EMPTY) == Score(ref_empty, "ref_empty")
    assert of(EMPTY, EMPTY) == Score(None, "both_empty")
    assert of(FULL, FULL).status == "ok"
    assert definition(metric).when_empty.prediction == pred_empty


def test_status_from_voxels_or_volumes():
    assert status_of(prediction=3, reference=0.5) == "ok"
    assert status_of(prediction=0, reference=0) == "both_empty"
    assert empty_score("both_empty", WHEN_EMPTY["dice"]) == Score(None, "both_empty")
