"""What `--repair` takes."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from segtrain.core.errors import ConfigError
from segtrain.data.repair.repairs import LARGEST, NO_REPAIR, WHAT, RepairName, Repairs, asked_for, how_to


def test_every_repair_is_known_by_its_name_and_says_what_it_does():
    assert set(WHAT) == set(get_args(RepairName))
    for name in WHAT:
        (word,) = [f"{name}=3" if name == "nan" else name]
        assert asked_for([word]).include(name)
        assert not NO_REPAIR.include(name)
        assert f"--repair {name}" in how_to(name)
    assert not asked_for(["tilt"]).include(None)


def test_several_are_asked_for_at_once():
    assert asked_for(["missing-slices", "nan=-1e3"]) == Repairs(missing_slices=True, nan=-1000.0)
    assert asked_for([]) == NO_REPAIR


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("tild", r"no repair 'tild'[\s\S]*did you mean 'tilt'.*known repair names: missing-slices, nan, tilt"),
        ("", "no repair ''"),
        ("nan", "nan needs the value"),
        ("nan=air", "a finite number, not 'air'"),
        ("nan=inf", "a finite number, not 'inf'"),
        ("nan=1e39", "a finite number, not '1e39': float32 ends at 3.4e"),
        ("nan=-1e39", "a finite number, not '-1e39'"),
        ("nan=", "a finite number, not ''"),
        ("tilt=3", "tilt takes no value"),
    ],
)
def test_a_wrong_word_is_told_with_those_that_are_known(word, told):
    with pytest.raises(ConfigError, match=told) as error:
        asked_for([word])
    assert error.value.exit_code == 2


def test_all_wrong_words_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        asked_for(["tilt", "tilt", "nan=x", "slices"])
    assert len(error.value.problems) == 3


def test_the_settings_take_no_other_value():
    with pytest.raises(ValidationError):
        Repairs(nan=float("nan"))


def test_the_largest_value_is_that_of_float32():
    assert float(np.finfo(np.float32).max) == LARGEST
    assert asked_for([f"nan={LARGEST}"]).nan == LARGEST
    with pytest.raises(ValidationError):
        Repairs(nan=1e39)
