"""Configs that the tests of this room start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from segtrain.config.load import Loaded, load_config
from segtrain.core.errors import ConfigError, Problem

BASE = """\
data: {images: images, labels: labels, channels: [T1]}
task:
  labels: {background: 0, liver: 1}
"""

LOSSES = "[dice_ce, dice, {name: tversky, label: recall, fn_weight: 0.8, training: {learning_rate: 1e-3}}]"

COMPARE = f"{BASE}compare:\n  losses: {LOSSES}\n"


def load(folder: Path, text: str, *overrides: str) -> Loaded:
    """The config that `text` is, once it lies in `folder`."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def faults(folder: Path, text: str | bytes, overrides: Sequence[str] = ()) -> tuple[Problem, ...]:
    """What is wrong with it."""
    path = folder / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return caught.value.problems
