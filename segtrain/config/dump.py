"""A loaded config -> text: every key, also those that were left out, with the origin of each value.

Reading the text back gives an equal config. Text is quoted wherever this package's reader *or* a YAML 1.1 reader
would take it for something else (`no`, `1e-3`, `010`).
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import yaml

from segtrain.config.load import Loaded, Origin, load_config
from segtrain.config.reader import RESOLVERS, Place
from segtrain.config.source import leaves

_INDENT = "  "

LINE_BREAKS = re.compile("[\\n\\x85\\u2028\\u2029]")
"""What YAML 1.1 takes for the end of a line; such a text is written with escapes."""


class _Dumper(yaml.SafeDumper):
    """Knows what both readers take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True


for _kind, (_pattern, _first) in RESOLVERS.items():
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, list(_first))


def to_yaml(loaded: Loaded) -> str:
    """The resolved config as YAML, the origin of each value behind it: `epochs: 5  # command line`."""
    lines: list[str] = []
    above: Place = ()
    for place, value, origin in _values(loaded):
        group = place[:-1]
        shared = next((n for n, (a, b) in enumerate(zip(above, group, strict=False)) if a != b), len(above))
        lines += [f"{_INDENT * depth}{_flow(group[depth])}:" for depth in range(min(shared, len(group)), len(group))]
        above = group
        indent, key = _INDENT * len(group), _flow(place[-1])
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            lines.append(f"{indent}{key}:  # {origin}")
            lines += [f"{indent}{_INDENT}- {_flow(_short(item))}" for item in value]
        else:
            lines.append(f"{indent}{key}: {_flow(value)}  # {origin}")
    return "\n".join(lines) + "\n"


def read_back(path: Path) -> Loaded:
    """What `to_yaml` wrote, with the origins that stand behind its values."""
    loaded = load_config(path)
    lines = path.read_text(encoding="utf-8").split("\n")
    known: dict[str, Origin] = {origin: origin for origin in get_args(Origin)}
    found = [known[end] for line in lines if (end := line.rpartition("  # ")[2]) in known]
    if len(found) != len(loaded.origins):  # somebody else wrote it
        return loaded
    return replace(loaded, origins=dict(zip(loaded.origins, found, strict=True)))


def flat(loaded: Loaded) -> list[tuple[str, Any, Origin]]:
    """Every value of the resolved config: dotted key, plain value, origin."""
    return [(".".join(map(str, place)), value, origin) for place, value, origin in _values(loaded)]


def _values(loaded: Loaded) -> list[tuple[Place, Any, Origin]]:
    found = leaves(loaded.config.model_dump(mode="json"))
    return [(place, value, loaded.origins[".".join(map(str, place))]) for place, value in found]


def _flow(value: Any) -> str:
    """One value on one line."""
    text = _dumped(value)
    return _dumped(value, style='"', unicode=False) if LINE_BREAKS.search(text) else text


def _dumped(value: Any, style: str | None = None, *, unicode: bool = True) -> str:
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        default_style=style,
        allow_unicode=unicode,
        sort_keys=False,
        width=math.inf,
    )
    return text.removesuffix("...\n").strip("\n")


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    """A loss of a comparison without the `training` that it leaves open; its options stay, also null."""
    training = {key: value for key, value in entry.get("training", {}).items() if value is not None}
    rest = {key: value for key, value in entry.items() if key != "training"}
    return {**rest, "training": training} if training else rest
