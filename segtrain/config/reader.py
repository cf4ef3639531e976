"""YAML text -> plain values, with the line of every key. Nothing in a config is code, and nothing is guessed.

What is read is the core of YAML 1.2, because YAML 1.1, which PyYAML speaks by default, surprises people:

    written            YAML 1.1     here
    no, off, yes, on   booleans     text, so that they can name a label; only true and false are booleans
    1e-3               text         a number
    010, 1:30          8, 90        10, text
    2024-01-01         a date       text
    a key twice        the last     refused, with both lines
    1: x, null: x      keys 1, None text: every key is text

Tags that would build objects are refused. Anchors, aliases and `<<` work; size, depth and the number of values that
a file expands to are bounded, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from segtrain.core.errors import ConfigError, Problem

MAX_NODES = 20_000
"""Values that a file may hold once its aliases are expanded."""

MAX_DEPTH = 20
"""Nesting; the schema needs five."""

Place = tuple[str | int, ...]
"""Keys and list indices from the top of the file down to a value."""

_TAG = "tag:yaml.org,2002:"
_TOO_MUCH = Problem(
    "this is no config",
    why=f"over {MAX_NODES} values, or nested over {MAX_DEPTH} deep",
    hint="give the YAML of a study; `segtrain demo DIR` writes an example",
)

RESOLVERS = {
    "bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    "null": (re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "int": (re.compile(r"^[-+]?[0-9]+$"), "-+0123456789"),
    "float": (re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"), "-+.0123456789"),
    "merge": (re.compile(r"^<<$"), "<"),
}
"""Which unquoted text is something else than text: kind -> pattern and first characters. The first match wins."""


class _Loader(yaml.SafeLoader):
    """Composes nodes by `RESOLVERS`, and stops at a file that is too large or too deep. It constructs nothing."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own name and shape
    nodes = 0
    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            raise ConfigError(_TOO_MUCH)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _kind, (_pattern, _first) in RESOLVERS.items():
    _Loader.add_implicit_resolver(_TAG + _kind, _pattern, list(_first))


@dataclass
class Tree:
    """Plain values, the line of each, and what is wrong with them."""

    value: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[tuple[int, Problem]] = field(default_factory=list)
    """(line, fault); the fault's own `where` is left to whoever knows the file's name."""


def read_tree(text: str) -> Tree:
    """Read one document. Raises ConfigError where it is no YAML; finer faults are listed in the tree."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_problem(error, text)) from error
    finally:
        if loader is not None:
            loader.dispose()
    tree = Tree()
    if root is not None:
        tree.value = _Builder(tree).build(root, ())
    return tree


def read_value(text: str) -> Any:
    """One value as it stands on a command line: a list, a mapping or quoted text in YAML, else a single scalar.

    `*T1*`, `[a-z]+` and `key: x` stay text, since that is what a shell user means.
    """
    text = text.strip()
    if text[:1] in {"[", "{", '"', "'"}:
        try:
            tree = read_tree(text)
        except ConfigError:
            return text
        return text if tree.problems else tree.value
    loader = _Loader("")
    tag = loader.resolve(ScalarNode, text, (True, False))
    loader.dispose()
    return SCALARS.get(tag, str)(text)


SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_TAG}str": str,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}null": lambda _: None,
    f"{_TAG}int": int,
    f"{_TAG}float": float,
}


ALLOWED_TAGS = frozenset({*SCALARS, f"{_TAG}map", f"{_TAG}seq", f"{_TAG}merge"})


class _Builder:
    """Nodes -> values, for one tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.count = 0
        self.merging = 0

    def build(self, node: Node, place: Place) -> Any:
        self.count += 1
        if (
            self.count > MAX_NODES or len(place) + self.merging > MAX_DEPTH
        ):  # an alias may stand for many values, or for itself
            raise ConfigError(_TOO_MUCH)
        line = node.start_mark.line + 1
        self.tree.lines.setdefault(place, line)
        if node.tag not in ALLOWED_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            why, hint = "a config holds values, never code", "take the tag out and write the plain value"
            self._fault(line, Problem(f"the tag {tag} is not allowed", why=why, hint=hint))
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self.build(child, (*place, index)) for index, child in enumerate(node.value)]
        try:
            return SCALARS.get(node.tag, str)(node.value)
        except ValueError as error:
            self._fault(line, Problem(f"{node.value[:40]!r} cannot be read", why=str(error)))
            return node.value

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        own: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == f"{_TAG}merge":
                merged |= self._merged(value_node, place)
            elif not isinstance(key_node, ScalarNode) or not key_node.value:
                self._fault(line, Problem("a key must be a word", hint="write `key: value`"))
            elif key_node.value in own:
                first = own[key_node.value]
                what = f"{'.'.join(map(str, (*place, key_node.value)))}: the key occurs twice"
                self._fault(line, Problem(what, why=f"it was first given in line {first}", hint="keep one of them"))
            else:
                own[key_node.value] = self.tree.lines[*place, key_node.value] = line
                found[key_node.value] = self.build(value_node, (*place, key_node.value))
        return {**merged, **found}

    def _merged(self, node: Node, place: Place) -> dict[str, Any]:
        """What `<<` brings in; of several mappings the first wins, and the mapping's own keys win over all."""
        parts = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        self.merging += 1
        for part in reversed(parts):
            value = self.build(part, place)
            if not isinstance(value, dict):
                line = node.start_mark.line + 1
                self._fault(line, Problem("<< needs a mapping", hint="write `<<: *name` for an anchored mapping"))
                continue
            merged |= value
        self.merging -= 1
        return merged

    def _fault(self, line: int, problem: Problem) -> None:
        self.tree.problems.append((line, problem))


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark else text.count("\n", 0, position) + 1 if isinstance(position, int) else 0
    hint = "check indentation, quotes and brackets in this line and the one above"
    if "'\\t'" in reason:
        hint = "indent with spaces: a tab stands there"
    elif mark and mark.line < len(text.splitlines()) and "\t" in text.splitlines()[mark.line]:
        hint = "indent with spaces: there is a tab in this line"
    elif "undefined alias" in reason:
        hint = "quote a text that begins with *, as '*T1*'"
    return Problem("this is not valid YAML", f"line {line}" if line else "", reason, hint)
