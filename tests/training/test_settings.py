"""Lengths, rates and shares that cannot train are refused where they are written."""

import pytest
from pydantic import ValidationError

from segtrain.training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("steps_per_epoch", -1),
        ("budget_minutes", 0),
        ("batch_size", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1e-4),
        ("warmup_share", 1),
        ("clip_norm", 0),
        ("precision", "fp16"),
        ("seed", -1),
        ("validation_share", 0),
        ("validation_share", 1),
        ("folds", 1),
        ("validate_every", 0),
        ("epoch", 3),
    ],
)
def test_a_value_that_cannot_train_is_refused_by_its_key(key, value):
    with pytest.raises(ValidationError, match=key):
        TrainingSettings(**{key: value})


@pytest.mark.parametrize("key", ["budget_minutes", "batch_size", "clip_norm"])
def test_null_switches_off_what_may_be_off(key):
    assert getattr(TrainingSettings(**{key: None}), key) is None


def test_a_number_written_as_text_is_one():
    assert TrainingSettings(learning_rate="1e-3", epochs="5").learning_rate == 1e-3


def test_a_budget_has_no_more_epochs_than_time_for_them():
    assert TrainingSettings(epochs=200).planned_epochs == 200
    assert TrainingSettings(epochs=200, budget_minutes=5).planned_epochs == 15
    assert TrainingSettings(epochs=10, budget_minutes=3.333).planned_epochs == 10
    assert TrainingSettings(epochs=200, budget_minutes=0.01).planned_epochs == 1


def test_compiling_has_no_place_in_a_budget():
    with pytest.raises(ValidationError, match="compile and budget_minutes: give one"):
        TrainingSettings(compile=True, budget_minutes=5)
