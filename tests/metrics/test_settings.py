import pytest
from pydantic import ValidationError

from segtrain.metrics.registry import METRICS
from segtrain.metrics.settings import PROFILES, EvaluationSettings


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_known_metrics_and_says_why(name):
    settings = EvaluationSettings(profile=name)
    assert set(settings.metrics) <= set(METRICS.names())
    assert settings.metrics[0] == "dice"
    assert settings.why.startswith(f"Profile {name}: ")


def test_metrics_that_somebody_named_win():
    settings = EvaluationSettings(profile="organ", metrics=("iou",))
    assert (settings.metrics, settings.why) == (("iou",), "")
    assert EvaluationSettings().why == ""


@pytest.mark.parametrize("wrong", [{"profile": "bone"}, {"metrics": ()}, {"nsd_tolerance_mm": {"liver": 0}}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        EvaluationSettings(**wrong)
