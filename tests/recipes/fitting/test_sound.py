"""What is wrong with a config and its cases is found before anything is written."""

from __future__ import annotations

import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.recipes.fitting.sound import cautions_in, try_config
from tests.recipes.projects import load


@pytest.mark.parametrize(
    ("override", "fold", "error", "says"),
    [
        ("loss.smoth=1", None, ConfigError, "smoth"),
        ("evaluation.metrics=[dice, iuo]", None, ConfigError, "no metric is called 'iuo'"),
        ("data.labels=nowhere", None, DataError, "no such folder"),
        ("training.folds=5", 0, DataError, "too few patients"),
        ("training.folds=2", 2, ConfigError, "there is no fold 2 of 2"),
    ],
)
def test_what_is_wrong_is_found_before_there_is_a_folder(study, override, fold, error, says):
    with pytest.raises(error, match=says):
        try_config(load(study, override), fold)


def test_a_pattern_of_partial_cases_that_matches_none_is_a_fault(study):
    loaded = load(study, "compare=null", "task.partial={'Q*': [organ], 'P0*': [organ]}")
    with pytest.raises(ConfigError, match=r"the pattern 'Q.' matches no case") as error:
        try_config(loaded, None)
    assert len(error.value.problems) == 1


def test_a_loss_with_a_caution_is_told_with_it(study):
    (sentence,) = cautions_in(load(study, "loss=post/combo"))
    assert "sign is wrong" in sentence
    assert list(cautions_in(load(study))) == []
