import pytest

from segtrain.cli.scoring_flags import Profile, scoring_overrides
from segtrain.config.at_prediction import evaluation_with
from segtrain.core.errors import ConfigError
from segtrain.metrics.settings import EvaluationSettings


def asked(metrics=None, profile=None, tolerances=None):
    return evaluation_with(EvaluationSettings(), scoring_overrides(metrics, profile, tolerances))


def test_flags_stand_for_keys_of_the_config():
    assert asked() == EvaluationSettings()
    assert asked(["hd95", "dice"]).metrics == ("hd95", "dice")
    assert asked(profile=Profile.lesion) == EvaluationSettings(profile="lesion")
    assert asked(tolerances=["2.5"]).nsd_tolerance_mm == 2.5


def test_a_tolerance_for_each_label():
    found = asked(tolerances=["liver=3", "left lung: upper=1.5"]).nsd_tolerance_mm
    assert found == {"liver": 3.0, "left lung: upper": 1.5}


@pytest.mark.parametrize("wrong", [["far"], ["liver=x"], ["2", "3"], ["2", "liver=3"], ["liver=3", "liver=4"]])
def test_tolerances_that_are_none(wrong):
    with pytest.raises(ConfigError, match="--nsd-tolerance-mm"):
        asked(tolerances=wrong)
