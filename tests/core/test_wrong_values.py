"""Wrong values are told in words that say what to write."""

from typing import Annotated, Literal

import pytest
from pydantic import Discriminator, Field, Tag, ValidationError

from segtrain.core.settings import Component, Settings
from segtrain.core.wrong_values import items_of, place_of, problems_of


class Curve(Settings):
    kind: Literal["line", "step"]


class Colour(Settings):
    name: str
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    count: Annotated[int, Field(ge=2, lt=9)] = 2
    is_on: bool = True
    edge: Annotated[
        Annotated[float, Tag("<number>")] | Annotated[Curve, Tag("<curve>")],
        Discriminator(lambda value: "<curve>" if isinstance(value, dict) else "<number>"),
    ] = 1.0


class Palette(Settings):
    colours: Annotated[tuple[Colour, ...], Field(min_length=1)]


def told(**values: object) -> list[str]:
    with pytest.raises(ValidationError) as error:
        Colour(**{"name": "red", **values})
    return [problem.what for problem in problems_of(error.value, Colour, "config.yaml")]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"share": "a"}, "share: must be a number (given: 'a')"),
        ({"share": 0}, "share: must be above 0 (given: 0)"),
        ({"share": 2}, "share: must be 1 or less (given: 2)"),
        ({"count": 2.5}, "count: must be a whole number (given: 2.5)"),
        ({"count": 1}, "count: must be 2 or more (given: 1)"),
        ({"count": 9}, "count: must be below 9 (given: 9)"),
        ({"is_on": "maybe"}, "is_on: must be true or false (given: 'maybe')"),
        ({"name": 3}, "name: must be a text (given: 3)"),
        ({"edge": {"kind": "dot"}}, "edge.kind: must be 'line' or 'step' (given: 'dot')"),
        ({"edge": "thick"}, "edge: must be a number (given: 'thick')"),
        ({"shade": 1}, "shade: there is no such key"),
    ],
)
def test_what_to_write_is_told(values, words):
    assert told(**values) == [words]


def test_a_missing_key_has_no_value_to_show():
    with pytest.raises(ValidationError) as error:
        Colour()
    assert [p.what for p in problems_of(error.value, Colour, "c")] == ["name: this key is missing"]


def test_the_nearest_key_is_asked_for_also_in_a_list():
    with pytest.raises(ValidationError) as error:
        Palette(colours=[{"name": "red", "shar": 1}])
    (problem,) = problems_of(error.value, Palette, "c")
    assert problem.what == "colours.0.shar: there is no such key"


def test_a_list_is_not_called_too_short_where_an_entry_is_wrong():
    with pytest.raises(ValidationError) as error:
        Palette(colours=[{"share": 1}])
    assert [item["loc"] for item in items_of(error.value)] == [("colours", 0, "name")]
    with pytest.raises(ValidationError) as error:
        Palette(colours=[])
    assert [p.what for p in problems_of(error.value, Palette, "c")] == [
        "colours: must be at least 1 entry long (given: [])"
    ]


def test_names_of_choices_are_no_part_of_a_place():
    assert place_of(("of", 0, "weight", "<schedule>", "kind")) == "of.0.weight.kind"


def test_a_component_may_be_its_bare_name():
    assert Component.model_validate("dice") == Component(name="dice")
