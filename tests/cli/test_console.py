from __future__ import annotations

import json
from pathlib import Path

import pytest

from segtrain.cli.console import Session, plain_lines, print_json, printable, problem_lines
from segtrain.core.errors import Problem


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\tc\nd é") == "a\N{REPLACEMENT CHARACTER}[31mb\tc\nd é"


def test_a_problem_is_never_longer_than_four_lines() -> None:
    lines = problem_lines(Problem("what\nis", "here\nor there", "why\n\nso", "do\nthis"))
    assert lines == ["what is", "  where: here or there", "  why: why so", "  fix: do this"]


def test_json_has_a_version_and_paths_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"run": Path("a/b"), "seeds": (1, 2)})
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "run": "a/b", "seeds": [1, 2]}
    with pytest.raises(ValueError, match="JSON compliant"):
        print_json({"loss": float("nan")})


def test_nested_values_in_words() -> None:
    value = {"a": 1, "many": [{"b": None}, {"b": 2.5}], "empty": [], "on": False}
    assert plain_lines(value) == "a: 1\nmany:\n  0:\n    b: -\n  1:\n    b: 2.5\nempty: -\non: no"


def test_what_is_said_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Session().say("x" * 200)
    Session(quiet=True).say("never")
    Session().result({"a": 1}, "result")
    found = capsys.readouterr()
    assert found.err == "x" * 200 + "\n"
    assert found.out == "result\n"
