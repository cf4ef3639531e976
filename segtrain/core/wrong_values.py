"""What pydantic finds wrong with a person's values, in words that say what to write instead."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from segtrain.core.errors import Problem
from segtrain.core.nearest import did_you_mean
from segtrain.core.settings import Settings

Item = Mapping[str, Any]
"""A finding: type, loc, msg, input, ctx."""

A_NUMBER, A_WHOLE_NUMBER, A_TEXT, A_LIST = "a number", "a whole number", "a text", "a list, as [a, b]"

KINDS: Mapping[str, str] = {
    "float_type": A_NUMBER,
    "float_parsing": A_NUMBER,
    "finite_number": "a finite number",
    "int_type": A_WHOLE_NUMBER,
    "int_parsing": A_WHOLE_NUMBER,
    "int_from_float": A_WHOLE_NUMBER,
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": A_TEXT,
    "path_type": "a path",
    "tuple_type": A_LIST,
    "list_type": A_LIST,
    "dict_type": "a group of keys, as {key: value}",
    "model_type": "a group of keys, as {key: value}",
    "model_attributes_type": "a group of keys, as {key: value}",
}
"""Type of a finding -> what the value must be."""

BOUNDS: Mapping[str, Callable[[Item], str]] = {
    "greater_than": lambda bound: f"above {bound['gt']:g}",
    "greater_than_equal": lambda bound: f"{bound['ge']:g} or more",
    "less_than": lambda bound: f"below {bound['lt']:g}",
    "less_than_equal": lambda bound: f"{bound['le']:g} or less",
    "literal_error": lambda bound: f"{bound['expected']}",
    "too_short": lambda bound: f"at least {_entries(bound['min_length'])} long",
    "too_long": lambda bound: f"at most {_entries(bound['max_length'])} long",
    "string_too_short": lambda bound: f"at least {bound['min_length']} characters long",
}
"""Type of a finding -> what the value must be, from its context."""


def items_of(error: ValidationError) -> list[Item]:
    """The findings, without the lists that are only too short because their wrong entries were left out."""
    found: list[Item] = [dict(item) for item in error.errors()]
    places = [item["loc"] for item in found]

    def is_echo(item: Item) -> bool:
        loc = item["loc"]
        return item["type"] == "too_short" and any(len(o) > len(loc) and o[: len(loc)] == loc for o in places)

    return [item for item in found if not is_echo(item)]


def problems_of(error: ValidationError, model: type[Settings], where: str) -> list[Problem]:
    """All findings in our words, with the nearest key where one is unknown."""
    return [problem_of(item, model, where) for item in items_of(error)]


def problem_of(item: Item, model: type[Settings], where: str) -> Problem:
    """One finding in our words."""
    place = place_of(item["loc"])
    if item["type"] == "extra_forbidden":
        hint = did_you_mean(str(item["loc"][-1]), _keys_at(model, item["loc"][:-1]), "key")
        return Problem(f"{place}: there is no such key", where, hint=hint)
    given = "" if item["type"] == "missing" else f" (given: {_short(item['input'])})"
    return Problem(f"{place or where}: {_wrong(item)}{given}", where)


def place_of(loc: tuple[int | str, ...]) -> str:
    """Where a finding is, as a person would write it: without pydantic's names of the choices of a union."""
    return ".".join(str(part) for part in loc if not str(part).startswith("<"))


def _wrong(item: Item) -> str:
    kind = str(item["type"])
    if kind == "missing":
        return "this key is missing"
    if kind in KINDS:
        return f"must be {KINDS[kind]}"
    if kind in BOUNDS:
        return f"must be {BOUNDS[kind](item['ctx'])}"
    return str(item["msg"]).removeprefix("Value error, ")


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _keys_at(model: type[Any], path: tuple[int | str, ...]) -> list[str]:
    """Field names of the settings type at `path` below `model`."""
    here: Any = model
    for part in path:
        fields = getattr(here, "model_fields", {})
        if part not in fields:
            continue
        annotation = fields[part].annotation
        options = [annotation, *typing.get_args(annotation)]
        here = next((o for o in options if isinstance(o, type) and issubclass(o, Settings)), here)
    return list(getattr(here, "model_fields", {}))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
