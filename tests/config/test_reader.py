"""YAML text -> plain values: nothing is guessed, nothing is code."""

from __future__ import annotations

from typing import Any

import pytest

from segtrain.config.reader import MAX_DEPTH, MAX_NODES, read_tree, read_value
from segtrain.core.errors import ConfigError
from tests.faults.table import fault

PLAIN: list[tuple[str, Any]] = [
    ("true", True),
    ("False", False),
    ("no", "no"),
    ("on", "on"),
    ("yes", "yes"),
    ("off", "off"),
    ("y", "y"),
    ("1:30", "1:30"),
    ("1:30:00", "1:30:00"),
    ("010", 10),
    ("0o10", "0o10"),
    ("0x1F", "0x1F"),
    ("1_000", "1_000"),
    ("1e-3", 1e-3),
    ("1E3", 1e3),
    ("+1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("1.10", 1.1),
    ("-7", -7),
    ("2024-01-01", "2024-01-01"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("null", None),
    ("~", None),
    ("'5'", "5"),
    ('"true"', "true"),
    ("=", "="),
    ("v1.2.3", "v1.2.3"),
    ("1e", "1e"),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_scalars_in_a_file_and_on_the_command_line(text: str, value: Any) -> None:
    for found in (read_tree(f"key: {text}").value["key"], read_value(text)):
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize("text", ["*T1*", "[a-z]+", "key: x", "{broken", "# no comment", "a # b", "%x", "@x", "&a"])
def test_patterns_on_the_command_line_stay_text(text: str) -> None:
    assert read_value(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("[1, 2]", [1, 2]), ("{a: 1e-3}", {"a": 1e-3}), ("'*'", "*"), ('"010"', "010"), ("", None), (" 5 ", 5)],
)
def test_lists_mappings_and_quotes_on_the_command_line(text: str, value: Any) -> None:
    assert read_value(text) == value


def test_lines_of_keys() -> None:
    tree = read_tree("a: 1\n\nb:\n  c: 2\n  d: [x,\n    y]\n")
    assert tree.value == {"a": 1, "b": {"c": 2, "d": ["x", "y"]}}
    assert tree.lines["a",] == 1
    assert tree.lines["b", "c"] == 4
    assert tree.lines["b", "d"] == 5
    assert tree.lines["b", "d", 1] == 6


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "{a: 1, b: 2,\n\n a: 3}", "a: 1\n\n'a': 3\n"])
def test_a_key_twice_is_refused_with_both_lines(text: str) -> None:
    [(line, problem)] = read_tree(text).problems
    assert line == 3
    assert "a: the key occurs twice" in problem.what
    assert "line 1" in problem.why


def test_a_key_twice_within_a_group_names_the_whole_key() -> None:
    [(line, problem)] = read_tree("training:\n  epochs: 1\n  epochs: 2\n").problems
    assert (line, problem.what.split(":")[0]) == (3, "training.epochs")


def test_the_same_number_as_key_in_two_spellings_is_two_texts() -> None:
    assert read_tree("{1: a, 01: b}").value == {"1": "a", "01": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [echo hi]",
        "a: !!python/name:os.system",
        "a: !!python/tuple [1]",
        "a: !custom 3",
        "a: !!binary aGk=",
        "a: !!set {x}",
        "a: !!omap [x: 1]",
        "!!python/object:object {}",
    ],
)
@fault("F13", "tags that would build objects", then="2, the tag and its line")
def test_tags_are_refused(text: str) -> None:
    [(line, problem)] = read_tree(text).problems
    assert line == 1
    assert "tag" in problem.what


def test_a_tag_that_does_not_fit_its_value() -> None:
    [(_, problem)] = read_tree("a: !!int x").problems
    assert "'x'" in problem.what


@pytest.mark.parametrize("text", ["? [a, b]\n: 1", "? {a: 1}\n: 1", "'': 1"])
def test_keys_are_words(text: str) -> None:
    assert "key" in read_tree(text).problems[0][1].what


@pytest.mark.parametrize("key", ["no", "1", "null", "true", "1.5"])
def test_keys_are_text(key: str) -> None:
    assert read_tree(f"{key}: 1").value == {key: 1}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n\tb: 2\n", 2),
        ("a:\n\t- 1\n", 2),
        ("a: [1,\n", 2),
        ("a: 'open\n", 2),
        ("a: 1\nb\nc: 2\n", 3),
        ("a: *missing\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\nb: \x01\n", 2),
        ("a: 1\n  b: 2\n", 2),
    ],
)
def test_syntax_errors_have_a_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        read_tree(text)
    [problem] = caught.value.problems
    assert problem.where == f"line {line}"
    assert problem.what == "this is not valid YAML"


def test_a_tab_is_named() -> None:
    with pytest.raises(ConfigError, match="tab"):
        read_tree("a:\n\tb: 1\n")


def test_an_unquoted_star_is_explained() -> None:
    with pytest.raises(ConfigError, match="quote"):
        read_tree("a: *T1*\n")


def test_anchors_and_merges() -> None:
    text = "base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\nmany: {<<: [{y: 4}, *b]}\n"
    tree = read_tree(text)
    assert tree.problems == []
    assert tree.value["other"] == {"x": 1, "y": 3}
    assert tree.value["many"] == {"x": 1, "y": 4}


def test_a_merge_of_something_else() -> None:
    assert "<<" in read_tree("a: {<<: 3}").problems[0][1].what


@fault("F13", "an alias bomb", then="2, `over 20000 values`")
def test_many_laughs_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match=str(MAX_NODES)):
        read_tree("\n".join(lines))


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}"])
def test_an_alias_of_itself(text: str) -> None:
    with pytest.raises(ConfigError):
        read_tree(text)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5000])
def test_nesting_is_bounded(depth: int) -> None:
    with pytest.raises(ConfigError, match=str(MAX_DEPTH)):
        read_tree("[" * depth + "]" * depth)


def test_the_number_of_values_is_bounded() -> None:
    with pytest.raises(ConfigError, match=str(MAX_NODES)):
        read_tree("[" + "1," * (MAX_NODES + 1) + "]")


def test_a_huge_number_is_no_crash() -> None:
    assert read_tree(f"a: {'9' * 5000}").problems


def test_nothing() -> None:
    assert read_tree("").value is None
    assert read_tree("# only a comment\n").value is None
