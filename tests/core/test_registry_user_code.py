"""A user's own file: found beside the config, run once, and its mistakes are told as theirs."""

import sys
from types import SimpleNamespace

import pytest

from segtrain.core.errors import ConfigError
from segtrain.core.registry import Registry, checked_options

HEADER = "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
STAR = "class Star:\n    def __init__(self, *, points: int = 5):\n        self.points = points\n"


@pytest.fixture
def shapes() -> Registry:
    return Registry("shape", builtin=__name__)


def test_a_file_is_found_relative_to_the_folder_and_its_options_are_checked(shapes, tmp_path):
    (tmp_path / "mine.py").write_text(STAR)
    assert shapes.build("mine.py:Star", options={"points": "6"}, folder=tmp_path).points == 6
    with pytest.raises(ConfigError, match=r"pointz: there is no such key\n.*\n.*did you mean 'points'"):
        shapes.build("mine.py:Star", options={"pointz": 6}, folder=tmp_path)


def test_a_path_in_another_folder_is_found(shapes, tmp_path):
    (tmp_path / "my losses").mkdir()
    (tmp_path / "my losses" / "mine.py").write_text(STAR)
    for name in ("my losses/mine.py:Star", f"{tmp_path}/my losses/mine.py:Star", "configs/../my losses/mine.py:Star"):
        assert shapes.find(name, tmp_path).__name__ == "Star"


def test_without_a_folder_a_path_is_relative_to_where_one_is(shapes, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(STAR)
    monkeypatch.chdir(tmp_path)
    assert shapes.find("mine.py:Star").__name__ == "Star"


def test_two_files_of_one_name_are_two_modules(shapes, tmp_path):
    for folder, points in (("one", 5), ("two", 6)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(STAR.replace("5", str(points)))
    assert [shapes.build("mine.py:Star", options={}, folder=tmp_path / f).points for f in ("one", "two")] == [5, 6]


def test_a_file_that_registers_its_own_class_can_be_asked_for_twice(shapes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "room_of_shapes", SimpleNamespace(shapes=shapes))
    register = "from room_of_shapes import shapes\n@shapes.register('star')\n"
    (tmp_path / "mine.py").write_text(register + STAR)
    first = shapes.find("mine.py:Star", tmp_path)
    assert shapes.find("mine.py:Star", tmp_path) is first
    assert shapes.find("star") is first


def test_a_changed_file_is_run_again(shapes, tmp_path):
    for points in (5, 66):
        (tmp_path / "mine.py").write_text(STAR.replace("5", str(points)))
        assert shapes.build("mine.py:Star", options={}, folder=tmp_path).points == points


def test_an_option_that_no_yaml_can_hold_is_refused_and_its_default_is_not(shapes, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from threading import Thread\n"
        "class Star:\n    def __init__(self, *, thread: Thread | None = None, size: float = None):\n        pass\n"
    )
    shapes.build("mine.py:Star", options={}, folder=tmp_path)
    with pytest.raises(ConfigError, match="thread: Input should be an instance of Thread"):
        shapes.build("mine.py:Star", options={"thread": 1}, folder=tmp_path)
    with pytest.raises(ConfigError, match="size: must be a number"):
        shapes.build("mine.py:Star", options={"size": None}, folder=tmp_path)


@pytest.mark.parametrize("annotation", ["Tensor", "'how large'", "torch.Tensor"])
def test_an_annotation_that_cannot_be_evaluated_leaves_the_option_unchecked(shapes, tmp_path, annotation):
    (tmp_path / "mine.py").write_text(
        f"{HEADER}if TYPE_CHECKING:\n    import torch\n    from torch import Tensor\n"
        f"class Star:\n    def __init__(self, *, size: {annotation} = None):\n        self.size = size\n"
    )
    assert shapes.build("mine.py:Star", options={"size": 3}, folder=tmp_path).size == 3


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.py:Star", STAR, "there is no file"),
        ("mine.py:Moon", STAR, "mine.py has no 'Moon'"),
        ("mine.py:SIZE", "SIZE = 3\n", "neither a class nor a function"),
        ("mine.py:Star", "class Star\n", "SyntaxError"),
        ("mine.py:Star", "import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of"),
        ("mine.py:Star", "import math\nmath.nonsense\n", "AttributeError: module 'math' has no"),
        ("mine.py:Star", "open('/none/weights.txt')\n", "FileNotFoundError: .*weights.txt"),
        ("mine.py:Star", "1 / 0\n", "ZeroDivisionError"),
        ("no.such.package:Star", "", "No module named 'no'"),
        ("math:pi", "", "neither a class nor a function"),
        (":Star", "", "could not be imported"),
    ],
)
def test_what_is_wrong_with_it_is_told_by_its_real_name(shapes, tmp_path, name, text, words):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=words) as error:
        shapes.find(name, tmp_path)
    assert f"shape '{name}'" in str(error.value)


def test_a_file_that_was_mended_is_run_anew(shapes, tmp_path):
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'data.txt')!r}).close()\n{STAR}")
    with pytest.raises(ConfigError, match="could not be imported"):
        shapes.find("mine.py:Star", tmp_path)
    (tmp_path / "data.txt").write_text("")
    assert shapes.find("mine.py:Star", tmp_path).__name__ == "Star"


def test_an_option_that_is_not_keyword_only_is_told_how_to_be_one(tmp_path):
    (tmp_path / "mine.py").write_text("class Star:\n    def __init__(self, size=1.0, *, points=5): ...\n")
    star = Registry("shape", builtin=__name__).find("mine.py:Star", tmp_path)
    with pytest.raises(ConfigError) as error:
        checked_options(star, {"size": 2, "point": 3}, where="shape mine.py:Star")
    hints = [problem.hint for problem in error.value.problems]
    assert hints == ["options are keyword-only: write `*, size` in the signature", "did you mean 'points'?"]
