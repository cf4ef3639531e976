"""CT keeps its scale and MR has none."""

from __future__ import annotations

import pytest

from segtrain.data.plan.intensity_rule import intensity_rule
from tests.data.plan.test_planning import data


def test_ct_is_known_by_its_air():
    assert [intensity_rule(data(minimum=m), 0, "auto").rule for m in (-1000.0, -501.0, -499.0, 0.0)] == [
        "ct",
        "ct",
        "zscore",
        "zscore",
    ]


@pytest.mark.parametrize(("modality", "rule"), [("ct", "ct"), ("mr", "zscore")])
def test_what_the_user_says_wins(modality, rule):
    assert {intensity_rule(data(minimum=m), 0, modality).rule for m in (-1000.0, 0.0)} == {rule}


def test_bounds_mean_and_deviation_are_those_of_the_foreground():
    found = intensity_rule(data(cases=1), 0, "ct")
    assert (found.lower, found.upper) == (pytest.approx(0.5), pytest.approx(99.5))
    assert found.mean == pytest.approx(50)
    assert found.std == pytest.approx(29.14, abs=0.05)
