"""A score that is not defined is left out of a mean and never counted as a number."""

import pytest

from segtrain.core.scores import CaseScores, Score, mean_of_defined


def case(**values):
    statuses = {None: "both_empty"}
    scores = {label: {"dice": Score(v, statuses.get(v, "ok"))} for label, v in values.items()}
    return CaseScores("a", "p", scores, dict.fromkeys(values, 1.0), dict.fromkeys(values, 1.0))


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ({"one": 0.5, "two": 1.0}, 0.75),
        ({"one": 0.5, "two": None}, 0.5),
        ({"one": 0.0, "two": None}, 0.0),
        ({"one": None, "two": None}, None),
        ({}, None),
    ],
)
def test_the_mean_is_over_labels_with_a_value(values, mean):
    assert case(**values).mean("dice") == mean


def test_a_metric_that_was_not_measured_has_no_mean():
    assert case(one=0.5).mean("iou") is None


def test_a_mean_is_over_what_is_defined():
    assert mean_of_defined([0.5, None, 1.0]) == 0.75
    assert mean_of_defined(value for value in (None, None)) is None
    assert mean_of_defined([]) is None
