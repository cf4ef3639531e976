"""Where a value or a fault of a config came from: a line of the file, the command line, or nowhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from segtrain.config.overrides import Override, has_value, value_at
from segtrain.config.reader import Place, Tree
from segtrain.config.schema import FitConfig
from segtrain.core.errors import Problem
from segtrain.core.settings import Settings


@dataclass(frozen=True)
class Source:
    """What values and faults are traced back to."""

    name: str
    tree: Tree
    overrides: tuple[Override, ...]

    def where(self, place: Place) -> str:
        """The file with the line of the nearest key above `place`, the command line, or both where both had a say."""
        texts, lines = _texts(place), self.tree.lines
        replaced = any(_texts(o.place) == texts[: len(o.place)] for o in self.overrides)
        if replaced or (self.is_overridden(place) and place not in lines):
            return "command line"
        line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
        file = self.name if line is None else f"{self.name}, line {line}"
        return f"{file}, and command line" if self.is_overridden(place) else file

    def is_overridden(self, place: Place) -> bool:
        """Whether a change set the value at `place`, a group around it or something inside of it."""
        texts = _texts(place)
        return any(_texts(o.place)[: len(texts)] == texts[: len(o.place)] for o in self.overrides)


def _texts(place: Place) -> tuple[str, ...]:
    return tuple(map(str, place))


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value below the groups of a dumped config; a list is one value, and so is an empty group."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from leaves(child, (*place, key))
    else:
        yield place, value


def traced(problem: Problem, loc: Place, source: Source) -> Problem:
    """A finding of the schema with its line, without pydantic's names of types in the key, and with a better hint."""
    place = tuple(part for part in loc if isinstance(part, int) or "[" not in part)
    key, typed = ".".join(map(str, place)), ".".join(map(str, loc))
    what = problem.what.replace(typed, key, 1) if typed else problem.what
    hint = problem.hint
    if "there is no such key" in what:
        same = [known for known in _dotted_keys(FitConfig) if known.rpartition(".")[2] == place[-1]]
        hint = f"did you mean {' or '.join(map(repr, same))}?" if same else hint
    return replace(problem, what=what, where=source.where(place), hint=hint)


def _dotted_keys(model: type[Settings], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Settings):
                yield from _dotted_keys(kind, f"{prefix}{name}.")


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def not_numbers(config: FitConfig, values: dict[str, Any], source: Source) -> Iterator[Problem]:
    """Numbers that pydantic lets through: infinity, and `true` where a number is meant."""
    for place, value in leaves(config.model_dump()):
        if not has_value(values, place):
            continue
        given = value_at(values, place)
        key = ".".join(map(str, place))
        if not _is_finite(value):
            yield Problem(f"{key}: must be a finite number (given: {given})", source.where(place))
        if isinstance(given, bool) and isinstance(value, int | float) and not isinstance(value, bool):
            yield Problem(f"{key}: must be a number (given: {given})", source.where(place))
