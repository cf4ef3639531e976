"""`KEY=VALUE` on a command line -> changes of what the file says.

A key is dotted: `training.epochs=5`, `task.labels.liver=1`, and an index takes an entry of a list:
`compare.losses.0.fn_weight=0.7`. The value replaces the whole of what was there, so that `loss={name: tversky}`
leaves nothing of the file's loss. **Naming another loss (`loss.name=tversky`) drops the options that the file gives
to its own, since they belong to that other loss**; options on the command line stay, wherever they stand.

Whether a key exists is not judged here but by the schema, together with the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from segtrain.config.reader import Place, read_value
from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.settings import as_component


@dataclass(frozen=True)
class Override:
    """One change."""

    text: str
    """As it was typed."""
    place: Place
    value: Any


def parse(text: str) -> Override:
    """`KEY=VALUE` -> a change. Raises ConfigError for anything else."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        hint = "write KEY=VALUE without spaces, as training.epochs=5"
        raise ConfigError(Problem(f"{text!r} is no override", "command line", hint=hint))
    return Override(text, tuple(int(p) if p.isdecimal() else p for p in parts), read_value(value))


def apply(tree: dict[str, Any], overrides: Sequence[Override]) -> tuple[dict[str, Any], list[Problem]]:
    """`tree` with all changes made, and the changes that could not be made."""
    changed = deepcopy(tree)
    problems: list[Problem] = []
    renamed = [o for o in overrides if o.place[-1] == "name" and is_component(o.place[:-1])]
    for override in (*(_without_options(changed, o) for o in renamed), *overrides):
        if override is None:
            continue
        try:
            _set(changed, override)
        except LookupError as error:
            problems.append(Problem(f"{override.text}: {error.args[0]}", "command line"))
    return changed, list(dict.fromkeys(problems))


def mapping_of(texts: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts alone as nested values. Raises ConfigError for what is none."""
    values, problems = apply({}, [parse(text) for text in texts])
    raise_all(ConfigError, problems)
    return values


def is_component(place: Place) -> bool:
    """Whether a component (name and options, or its bare name) stands at `place`."""
    return place == ("loss",) or (place[:2] == ("compare", "losses") and len(place) == 3)


def value_at(tree: Any, place: Place) -> Any:
    """The value at `place`. Raises KeyError where there is none."""
    for part in place:
        if isinstance(tree, dict) and str(part) in tree:
            tree = tree[str(part)]
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            raise KeyError(part)
    return tree


def has_value(tree: Any, place: Place) -> bool:
    """Whether something, be it null, is written at `place`."""
    try:
        value_at(tree, place)
    except KeyError:
        return False
    return True


def _without_options(tree: dict[str, Any], override: Override) -> Override | None:
    """A change that empties the component which `override` renames; None where it keeps its name."""
    place = override.place[:-1]
    if not has_value(tree, place):
        return None
    old = as_component(value_at(tree, place))
    if isinstance(old, dict) and old.get("name") == override.value:
        return None
    return Override(override.text, place, {})


def _set(tree: dict[str, Any], override: Override) -> None:
    """Make one change in place. Raises LookupError, in words, where the way there is blocked."""
    here: Any = tree
    for depth, part in enumerate(override.place):
        way = ".".join(map(str, override.place[:depth]))
        key: Any = str(part)
        if isinstance(here, list):
            if not isinstance(part, int) or part >= len(here):
                raise LookupError(f"{way} is a list; its entries are 0 to {len(here) - 1}")
            key = part
        elif not isinstance(here, dict):
            raise LookupError(f"{way} is a value, not a group of keys")
        if depth == len(override.place) - 1:
            here[key] = override.value
            return
        here = _opened(here, key, override.place[: depth + 1])


def _opened(parent: Any, key: Any, place: Place) -> Any:
    """What stands at `key` of `parent`, as something that can be entered: null and a missing key become a group."""
    child = parent[key] if isinstance(parent, list) else parent.get(key)
    if child is None:
        child = {}
    elif is_component(place):
        child = as_component(child)
    parent[key] = child
    return child
