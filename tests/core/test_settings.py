"""What a person writes is taken as written, checked, and never changed afterwards."""

import pytest
from pydantic import ValidationError

from segtrain.core.settings import Component, Settings


class Group(Settings):
    size: int = 3
    parts: tuple[str, ...] = ("a",)


def test_a_key_that_is_not_known_is_refused():
    with pytest.raises(ValidationError, match="sise"):
        Group(sise=3)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Group().size = 4


def test_text_of_a_number_becomes_one_and_a_wrong_default_is_noticed():
    assert Group(size="4").size == 4

    class Wrong(Settings):
        size: int = "many"

    with pytest.raises(ValidationError):
        Wrong()


def test_a_component_keeps_its_options_beside_its_name():
    component = Component(name="tversky", fn_weight=0.7, of=[{"name": "dice"}])
    assert component.name == "tversky"
    assert component.options == {"fn_weight": 0.7, "of": [{"name": "dice"}]}
    assert Component(name="dice").options == {}


def test_changing_the_options_that_were_given_out_changes_nothing():
    component = Component(name="tversky", fn_weight=0.7)
    component.options["fn_weight"] = 0
    assert component.options == {"fn_weight": 0.7}


@pytest.mark.parametrize("value", [{}, {"name": None}, {"fn_weight": 0.7}, 3])
def test_a_component_needs_a_name(value):
    with pytest.raises(ValidationError):
        Component.model_validate(value)
