"""The name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

MOST_NAMES = 30
"""A longer list is no help to anybody."""


def did_you_mean(name: str, known: Sequence[str], kind: str) -> str:
    """A hint: the nearest of the `known` names, or all of them where none is near and they are few."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    if len(known) > MOST_NAMES:
        some = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.0))
        return f"there are {len(known)} {kind} names; the nearest: {some}"
    return f"known {kind} names: {', '.join(sorted(known))}" if known else ""
