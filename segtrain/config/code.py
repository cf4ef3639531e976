"""Code of somebody's own that a config names: `file.py:Class` and `package.module:Class`, where components stand.

A component is its name, or a mapping with a `name`; a loss may have others as its parts (`of`). What the registries
would import is code, however it is spelt (`core.registry.is_code`), and a label or a path with a colon is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segtrain.config.reader import Place
from segtrain.config.schema import FitConfig
from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.registry import is_code

FIT = ("model", "loss", "evaluation")
SWEEP = ("model", "compare", "evaluation")
GROUPS = tuple(dict.fromkeys((*FIT, *SWEEP)))
"""Groups of a config that hold components."""
PARTS = "of"
"""The option of a loss that holds its parts."""


def code_places(values: Any, groups: tuple[str, ...] = GROUPS) -> Iterator[tuple[Place, str]]:
    """Every name of code in a tree that may be a config, with its place; whatever has a wrong type is passed over."""
    for group in groups:
        inside = values.get(group)
        if group in ("model", "loss"):
            yield from _in_component(inside, (group,))
        elif isinstance(inside, dict):
            listed = "losses" if group == "compare" else "metrics"
            yield from _in_list(inside.get(listed), (group, listed))


def _in_component(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield from [(place, value)] if is_code(value) else []
    elif isinstance(value, dict):
        yield from _in_component(name, (*place, "name")) if isinstance(name := value.get("name"), str) else ()
        yield from _in_list(value.get(PARTS), (*place, PARTS))


def _in_list(values: Any, place: Place) -> Iterator[tuple[Place, str]]:
    for number, value in enumerate(values if isinstance(values, list | tuple) else ()):
        yield from _in_component(value, (*place, number))


def code_in(config: FitConfig, groups: tuple[str, ...]) -> dict[str, str]:
    """Dotted key -> the code that it names, for some of the groups."""
    found = code_places(config.model_dump(mode="json", include=set(groups)), groups)
    return {".".join(map(str, place)): name for place, name in found}


def require_no_code(config: FitConfig) -> None:
    """ConfigError for every key that names code: for configs whose author one does not know."""
    hint = "read that code; where you trust it, leave --safe out"
    raise_all(
        ConfigError,
        [
            Problem(f"the config names code: {name}", key, "importing it runs it, and --safe runs none", hint)
            for key, name in code_in(config, GROUPS).items()
        ],
    )
