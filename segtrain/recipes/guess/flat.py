"""Scans of one slice: where all are, the network is one of pictures; where some are, a person should know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from segtrain.core.case import Case
from segtrain.core.errors import DataError
from segtrain.core.words import count
from segtrain.data.files.extent import grid_in_header
from segtrain.data.read import read_volume
from segtrain.recipes.guess.masks import spread

MOST_SECONDS = 5.0
"""For looking: a header takes no time, but some formats are known only by reading them."""


@dataclass(frozen=True)
class FlatScans:
    """Which of the scans that were looked at have one slice."""

    cases: tuple[str, ...]
    """Those with one slice."""
    looked_at: int
    """Scans that could be read."""
    total: int

    @property
    def all_are(self) -> bool:
        """Whether every scan that was looked at has one slice."""
        return bool(self.cases) and len(self.cases) == self.looked_at

    def said(self) -> list[str]:
        """What a person should look at."""
        if not self.cases:
            return []
        if self.all_are:
            seen = "" if self.looked_at == self.total else f" (looked at {self.looked_at} of {self.total})"
            return [f"scans have one slice{seen}: the network is one of pictures (model.dims: 2)"]
        which = f"one slice in {len(self.cases)} of {count(self.looked_at, 'scan')} (case {self.cases[0]})"
        return [f"{which}: the network is one of volumes all the same; model.dims: 2 trains on slices"]


def flat_scans(cases: Sequence[Case], *, seconds: float = MOST_SECONDS) -> FlatScans:
    """Look at scans all over the list until the time is up, at least one. What cannot be read, `check` tells."""
    end = time.monotonic() + seconds
    found: dict[int, bool] = {}
    for number in spread(len(cases)):
        if found and time.monotonic() > end:
            break
        try:
            grid = grid_in_header(cases[number]) or read_volume(cases[number].images[:1]).grid
        except DataError:
            continue
        found[number] = 1 in grid.shape
    flat = tuple(cases[number].id for number in sorted(found) if found[number])
    return FlatScans(flat, len(found), len(cases))
