"""How this process was started: alone, or by torchrun as one of several ranks. Torch-free, so that all may ask."""

from __future__ import annotations

import os
from dataclasses import dataclass

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun writes into the environment of a process."""


@dataclass(frozen=True)
class Launch:
    """One of several processes that train together."""

    rank: int
    """From 0, over all hosts."""
    local_rank: int
    """From 0, on this host."""
    size: int
    """Processes on all hosts."""

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0


def launched() -> Launch | None:
    """This process among others, as torchrun says; None where it is alone."""
    found = [os.environ.get(name, "") for name in NAMES]
    if not all(found) or not all(text.isdecimal() for text in found[:3]):
        return None
    rank, local_rank, size = map(int, found[:3])
    return Launch(rank, local_rank, size) if size > 1 else None
