"""Errors say what, where, why and how to mend it, and each has its exit code."""

import pickle

import pytest

from segtrain.core import errors
from segtrain.core.errors import ConfigError, DataError, EndedElsewhere, Problem, SegtrainError, raise_all

EXIT_CODES = {
    "SegtrainError": 70,
    "ConfigError": 2,
    "DataError": 3,
    "UnreadableScan": 3,
    "GridMismatch": 3,
    "ResourceError": 4,
    "OutOfMemory": 4,
    "DivergedError": 5,
    "CheckpointError": 6,
    "CheckFailed": 1,
    "EndedElsewhere": 70,
}


def test_the_exit_codes_are_those_of_the_contract():
    found = {n: e for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, SegtrainError)}
    assert {name: error.exit_code for name, error in found.items()} == EXIT_CODES


def test_a_process_that_ends_because_another_did_has_its_code_and_no_problem():
    error = pickle.loads(pickle.dumps(EndedElsewhere(143)))
    assert (error.exit_code, error.problems, str(error)) == (143, (), "")


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


@pytest.mark.parametrize("kind", [DataError, ConfigError])
def test_an_error_comes_whole_out_of_another_process(kind):
    error = kind(Problem("damaged", "case a", "cut short", "copy it again"), "and this")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.problems, str(again)) == (error.problems, str(error))
