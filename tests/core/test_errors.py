"""Errors say what, where, why and how to mend it, and each has its exit code."""

import pytest

from segtrain.core import errors
from segtrain.core.errors import ConfigError, DataError, Problem, SegtrainError, raise_all

EXIT_CODES = {
    "SegtrainError": 70,
    "ConfigError": 2,
    "DataError": 3,
    "UnreadableScan": 3,
    "GridMismatch": 3,
    "ResourceError": 4,
    "DivergedError": 5,
    "CheckpointError": 6,
}


def test_the_exit_codes_are_those_of_the_contract():
    found = {n: e for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, SegtrainError)}
    assert {name: error.exit_code for name, error in found.items()} == EXIT_CODES


def test_a_problem_prints_what_is_known_and_nothing_else():
    assert Problem("it is broken").lines() == ["it is broken"]
    assert Problem("it is broken", hint="mend it").lines() == ["it is broken", "  fix: mend it"]
    whole = Problem("it is broken", where="case a", why="it fell", hint="mend it")
    assert whole.lines() == ["it is broken", "  where: case a", "  why: it fell", "  fix: mend it"]


def test_an_error_carries_all_its_problems_and_prints_them():
    error = DataError(Problem("one", where="case a"), "two")
    assert [p.what for p in error.problems] == ["one", "two"]
    assert str(error) == "one\n  where: case a\ntwo"


def test_all_problems_are_raised_at_once():
    with pytest.raises(ConfigError) as error:
        raise_all(ConfigError, (Problem(text) for text in ("one", "two")))
    assert [p.what for p in error.value.problems] == ["one", "two"]


def test_no_problem_raises_nothing():
    raise_all(ConfigError, iter(()))
