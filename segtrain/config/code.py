"""Code of somebody's own that a config names: `file.py:Class` and `package.module:Class`, wherever a component stands.

A loss may be part of another one (`weighted_sum`), so that everything below the groups that hold components is looked
through, and not their names alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.registry import is_code

if TYPE_CHECKING:
    from segtrain.config.load import Loaded
    from segtrain.config.reader import Place
    from segtrain.config.schema import FitConfig

FIT = ("model", "loss", "evaluation")
SWEEP = ("model", "compare", "evaluation")
GROUPS = tuple(dict.fromkeys((*FIT, *SWEEP)))
"""Groups of a config that hold components."""


def code_places(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every name of code at or below a value of a config, with its place."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from code_places(inside, (*place, key))
    elif isinstance(value, list | tuple):
        for number, inside in enumerate(value):
            yield from code_places(inside, (*place, number))
    elif isinstance(value, str) and is_code(value) and value.rpartition(":")[2].isidentifier():
        yield place, value


def code_in(config: FitConfig, groups: tuple[str, ...]) -> dict[str, str]:
    """Dotted key -> the code that it names, for some of the groups."""
    values = config.model_dump(mode="json", include=set(groups))
    found = (pair for group in groups for pair in code_places(values[group], (group,)))
    return {".".join(map(str, place)): name for place, name in found}


def require_no_code(loaded: Loaded) -> None:
    """ConfigError for every key that names code: for configs whose author one does not know."""
    hint = "read that code; where you trust it, leave --safe out"
    raise_all(
        ConfigError,
        [
            Problem(f"the config names code: {name}", key, "importing it runs it, and --safe runs none", hint)
            for key, name in code_in(loaded.config, GROUPS).items()
        ],
    )
