"""What a place was recognised as, before anybody has said anything about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segtrain.data.layouts.dataset_json import DatasetJson
from segtrain.data.layouts.listing import FoundCase


@dataclass(frozen=True)
class Recognised:
    """A data set, and how a config would name it."""

    words: str
    """What it is, as a person says it."""
    values: Mapping[str, Any]
    """Keys of `data`, with absolute paths; without `table` where that has still to be written."""
    rows: Mapping[str, FoundCase] = field(default_factory=dict)
    """The lines of the table that describes it, where no other layout does."""
    guesses: tuple[str, ...] = ()
    """What was decided without being sure, each with its reason."""
    declared: DatasetJson | None = None
    named_in: tuple[Path, ...] = ()
    """Folders where a file may name its labels."""


def plain_name(text: str) -> str:
    """A name for a channel, of letters, digits and `_`."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "image"


def channel_names(parts: list[str]) -> list[str]:
    """A name for each part, no two alike."""
    names = [plain_name(part) for part in parts]
    return [f"{name}_{n}" if names.count(name) > 1 else name for n, name in enumerate(names)]


def some(names: list[str]) -> str:
    """The first of them."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
