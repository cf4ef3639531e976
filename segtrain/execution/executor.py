"""Where independent pieces of work are done: the one choice that a recipe takes and does not look into."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from segtrain.core.events import StillWorking
from segtrain.core.machine import usable_cores
from segtrain.execution.workers import Died, Done, each_watched

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Executor(Protocol):
    """Processes of this machine, or of many."""

    @property
    def is_here(self) -> bool:
        """Whether a recipe should rather do the pieces itself, one after another."""

    @property
    def threads(self) -> int:
        """The share of the cores that one piece may use."""

    def each(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], *, hang_seconds: float
    ) -> Generator[Done[Piece, Result] | Died[Piece] | StillWorking, None, None]:
        """Apply a function of a module to every piece, in whatever order they get done.

        What the function raises is raised here, and ends the rest; a process that dies costs its piece a second try.
        While nothing ends it says `StillWorking`. Closed early, it ends what is being worked on.
        """


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, each with its share of the cores, or a GPU of its own."""

    at_once: int
    """Pieces that are worked on at the same time."""

    @property
    def is_here(self) -> bool:
        """One process is this one."""
        return self.at_once == 1

    @property
    def threads(self) -> int:
        """Cores shared out evenly."""
        return max(1, usable_cores() // self.at_once)

    def each(
        self, function: Callable[[Piece], Result], pieces: Sequence[Piece], *, hang_seconds: float
    ) -> Generator[Done[Piece, Result] | Died[Piece] | StillWorking, None, None]:
        """As `workers.each_watched`."""
        yield from each_watched(function, pieces, min(self.at_once, len(pieces)), hang_seconds=hang_seconds)


ONE_PROCESS = Processes(1)
"""Nothing at the same time."""
