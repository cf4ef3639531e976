"""Names become objects, and a signature says which options they may be given."""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from segtrain.core.errors import ConfigError
from segtrain.core.registry import Registry, checked_options, code_hash, is_code, option_model, options_of


class Circle:
    def __init__(self, task="none", /, *, radius: Annotated[float, Field(gt=0)] = 1.0, fill: bool = False):
        self.task, self.radius, self.fill = task, radius, fill


class Ring:
    def __init__(self, *, width: float, style: Literal["plain", "dashed"] = "plain", anything=None):
        self.width, self.style, self.anything = width, style, anything


@pytest.fixture
def shapes() -> Registry:
    """A registry whose table of contents is this module."""
    registry = Registry("shape", builtin=__name__)
    registry.register("circle", "disc")(Circle)
    registry.register("ring")(Ring)
    return registry


def told(error) -> str:
    return str(error.value)


def test_names_are_sorted_and_aliases_stand_apart(shapes):
    assert shapes.names() == ["circle", "ring"]
    assert shapes.aliases() == {"disc": "circle"}
    assert shapes.find("disc") is shapes.find("circle") is Circle


@pytest.mark.parametrize("name", ["circle", "disc"])
def test_a_name_that_is_taken_is_not_given_away(shapes, name):
    with pytest.raises(ValueError, match=f"shape '{name}' is registered twice"):
        shapes.register(name)(Ring)
    with pytest.raises(ValueError, match="registered twice"):
        shapes.register("oval", name)(Ring)
    assert shapes.names() == ["circle", "ring"]


def test_the_table_of_contents_is_imported_when_a_name_is_asked_for():
    registry = Registry("shape", builtin="colorsys")
    sys.modules.pop("colorsys", None)
    assert registry.names() == []
    assert "colorsys" in sys.modules


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cirle", "did you mean 'circle'?"), ("disk", "did you mean 'disc'?"), ("zzz", "known shape names: circle, disc")],
)
def test_an_unknown_name_is_told_with_the_nearest(shapes, name, hint):
    with pytest.raises(ConfigError) as error:
        shapes.find(name)
    assert f"no shape is called '{name}'" in told(error)
    assert hint in told(error)
    assert error.value.exit_code == 2


def test_options_are_the_keyword_only_parameters():
    assert list(options_of(Circle)) == ["radius", "fill"]
    assert {n: f.is_required() for n, f in option_model(Ring).model_fields.items()} == {
        "width": True,
        "style": False,
        "anything": False,
    }


def test_what_is_built_gets_the_task_and_options_of_the_right_type(shapes):
    circle = shapes.build("disc", "liver", options={"radius": "2.5"})
    assert (circle.task, circle.radius, circle.fill) == ("liver", 2.5, False)


def test_an_option_without_annotation_takes_anything(shapes):
    assert shapes.build("ring", options={"width": 1, "anything": {"a": 1}}).anything == {"a": 1}


def test_every_wrong_option_is_told_at_once_with_the_nearest_key(shapes):
    with pytest.raises(ConfigError) as error:
        shapes.build("circle", options={"radius": -1, "fil": True})
    assert [p.where for p in error.value.problems] == ["shape circle"] * 2
    for words in ("radius: must be above 0 (given: -1)", "fil: there is no such key", "mean 'fill'?"):
        assert words in told(error)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "width: this key is missing"),
        ({"width": 1, "style": "dotted"}, "must be 'plain' or 'dashed' (given: 'dotted')"),
    ],
)
def test_a_missing_option_and_a_choice_that_is_none_are_told(shapes, options, words):
    with pytest.raises(ConfigError) as error:
        shapes.build("ring", options=options)
    assert words in told(error)


def test_a_long_value_is_shortened(shapes):
    with pytest.raises(ConfigError) as error:
        shapes.build("ring", options={"width": "x" * 500})
    assert max(map(len, told(error).splitlines())) < 160


def test_only_options_that_were_given_are_passed_on():
    assert checked_options(Circle, {"fill": True}, where="shape circle") == {"fill": True}


def test_a_positional_parameter_is_no_option(shapes):
    with pytest.raises(ConfigError, match="task: there is no such key"):
        shapes.build("circle", options={"task": "liver"})


def test_a_builtin_without_a_signature_has_no_options():
    assert options_of(OrderedDict.fromkeys) == {}
    assert options_of(type) == {}


@pytest.mark.parametrize(("name", "code"), [("mine.py:A", True), ("package.module:A", True), ("dice", False)])
def test_names_of_code_are_told_apart(name, code):
    assert is_code(name) is code


def test_the_hash_of_a_file_changes_with_it_and_a_package_has_none(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("A = 1")
    first = code_hash("mine.py:A", tmp_path)
    file.write_text("A = 2")
    assert len(first) == 64
    assert code_hash("mine.py:A", tmp_path) != first
    assert code_hash("package.module:A", tmp_path) is None
    assert code_hash("other.py:A", tmp_path) is None


def test_a_package_is_found_by_its_dotted_path(shapes):
    assert shapes.find("collections:OrderedDict") is OrderedDict


def test_an_installed_plug_in_is_found_by_its_entry_point(shapes, tmp_path, monkeypatch):
    plug_in(tmp_path, "star = plugin_star:Star\nbroken = plugin_star:Moon\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert shapes.build("star", options={"points": "7"}).points == 7
    with pytest.raises(ConfigError, match=r"shape 'broken' could not be imported"):
        shapes.find("broken")


def plug_in(site: Path, entries: str) -> None:
    """An installed distribution with one module and these entry points."""
    text = "class Star:\n    def __init__(self, *, points: int = 5):\n        self.points = points\n"
    (site / "plugin_star.py").write_text(text)
    about = site / "plugin_star-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-star\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[segtrain.shape]\n{entries}")


def test_a_component_that_is_no_key_of_a_dictionary_has_options_too():
    class Callable:
        __hash__ = None

        def __call__(self, *, size: int = 3):
            return size

    assert checked_options(Callable(), {"size": "4"}, where="loss x") == {"size": 4}
