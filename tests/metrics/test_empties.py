from math import hypot, inf

import pytest

from segtrain.core.scores import Score
from segtrain.metrics import score
from segtrain.metrics.empties import WHEN_EMPTY, empty_score, status_of
from segtrain.metrics.registry import METRICS, definition
from segtrain.metrics.settings import EvaluationSettings

FULL, EMPTY = [[1, 0], [1, 0]], [[0, 0], [0, 0]]
DIAGONAL_MM = hypot(2 * 1, 2 * 3)

POLICY = [
    # metric, prediction empty, reference empty
    ("dice", 0.0, 0.0),
    ("iou", 0.0, 0.0),
    ("sensitivity", 0.0, None),
    ("precision", None, 0.0),
    ("specificity", 1.0, None),
    ("relative_volume_error", -1.0, None),
    ("volume_similarity", 0.0, 0.0),
    ("hd", inf, inf),
    ("hd95", inf, inf),
    ("hd95_pooled", inf, inf),
    ("assd", inf, inf),
    ("masd", inf, inf),
    ("nsd", 0.0, 0.0),
    ("cldice", 0.0, 0.0),
    ("lesion_f1", 0.0, 0.0),
    ("lesion_sensitivity", 0.0, None),
    ("lesion_precision", None, 0.0),
    ("pq", 0.0, 0.0),
    ("component_dice", 0.0, 0.0),
]


def of(prediction, reference, metric, **rules):
    settings = EvaluationSettings(metrics=(metric,), nsd_tolerance_mm=1, **rules)
    return score(prediction, reference, (1, 3), settings=settings, labels={"a": 1})["a"][metric]


def test_the_policy_covers_every_registered_metric():
    assert {row[0] for row in POLICY} == set(METRICS.names()) == set(WHEN_EMPTY)


@pytest.mark.parametrize(("metric", "pred_empty", "ref_empty"), POLICY)
def test_each_row_of_the_table(metric, pred_empty, ref_empty):
    def expected(value, status):
        return Score(value, status, DIAGONAL_MM if value == inf else None)

    assert of(EMPTY, FULL, metric) == expected(pred_empty, "pred_empty")
    assert of(FULL, EMPTY, metric) == expected(ref_empty, "ref_empty")
    assert of(EMPTY, EMPTY, metric) == Score(None, "both_empty")
    assert of(FULL, FULL, metric).status == "ok"
    assert definition(metric).when_empty.prediction == pred_empty


def test_the_diagonal_of_the_image_counts_where_a_distance_is_infinite():
    found = of(EMPTY, FULL, "hd95")
    assert (found.value, found.counted) == (inf, DIAGONAL_MM)
    assert Score(None, "both_empty").counted is None


@pytest.mark.parametrize(
    ("metric", "best"), [("dice", 1.0), ("nsd", 1.0), ("hd95", 0.0), ("relative_volume_error", 0.0)]
)
def test_challenges_give_the_best_value_where_nothing_was_there_and_nothing_was_drawn(metric, best):
    assert of(EMPTY, EMPTY, metric, empty_policy="challenge") == Score(best, "both_empty")
    assert of(EMPTY, FULL, metric, empty_policy="challenge") == of(EMPTY, FULL, metric)


def test_status_from_voxels_or_volumes():
    assert status_of(prediction=3, reference=0.5) == "ok"
    assert status_of(prediction=0, reference=0) == "both_empty"
    assert empty_score("both_empty", WHEN_EMPTY["hd"], 5.0) == Score(None, "both_empty")
