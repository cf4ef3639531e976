"""What a trained network leaves open can be changed, and nothing else."""

import pytest

from segtrain.config.at_prediction import evaluation_with, inference_with, require_changeable
from segtrain.core.errors import ConfigError
from segtrain.inference.settings import InferenceSettings
from segtrain.metrics.settings import PROFILES, EvaluationSettings


def test_settings_of_inference_are_changed_one_by_one():
    before = InferenceSettings(overlap=0.25)
    texts = ["inference.mirror_axes=[0, 2]", "inference.postprocess.keep_largest=[liver]", "evaluation.metrics=[dice]"]
    found = inference_with(before, texts)
    assert (found.mirror_axes, found.overlap) == ((0, 2), 0.25)
    assert found.postprocess.keep_largest == ("liver",)
    assert before.mirror_axes == ()


def test_nothing_changes_nothing():
    assert inference_with(InferenceSettings(overlap=0.1), []) == InferenceSettings(overlap=0.1)


def test_a_profile_brings_its_metrics_where_none_are_named():
    assert evaluation_with(EvaluationSettings(), ["evaluation.profile=tubular"]).metrics == PROFILES["tubular"].metrics
    both = ["evaluation.profile=tubular", "evaluation.metrics=[dice]"]
    assert evaluation_with(EvaluationSettings(), both).metrics == ("dice",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("inference.mirror_axis=[0]", "did you mean 'mirror_axes'"),
        ("inference.overlap=1", "below 1"),
        ("inference.mirror_axes=[5]", "mirror_axes"),
        ("inferense.overlap=0.2", "did you mean 'inference'"),
        ("training.epochs=3", "cannot be changed here"),
        ("overlap", "is no override"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest(text, told):
    with pytest.raises(ConfigError, match=told):
        inference_with(InferenceSettings(), [text])


def test_a_command_may_allow_fewer_groups():
    require_changeable(["inference.overlap=0"], ("inference",))
    with pytest.raises(ConfigError, match=r"evaluation\.metrics cannot be changed here[\s\S]*begins with inference\."):
        require_changeable(["evaluation.metrics=[dice]"], ("inference",))
