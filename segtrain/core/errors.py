"""The tree of errors a user can meet, and the exit code of each.

    SegtrainError (70)
      ConfigError (2)        a wrong key, value, flag or loss name
      DataError (3)          a scan, label or folder that cannot be used
        UnreadableScan       the file itself is damaged or of another kind
        GridMismatch         two arrays that should lie on one grid do not
      ResourceError (4)      memory, device, disk
      DivergedError (5)      training produced numbers that are not finite
      CheckpointError (6)    untrusted, damaged or of another shape
      EndedElsewhere         another process of the same training ended it and has said why; with its exit code

Rooms raise these and nothing else for what a user can cause; `cli.errors` is the only place that catches
them. Each carries one or many `Problem`s, so that one run names every fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault: what is wrong, where, why, and how to mend it."""

    what: str
    where: str = ""
    why: str = ""
    hint: str = ""
    cases: tuple[str, ...] = ()
    """Whom it costs, or which two are alike; `where` names them too, this is for programs."""

    def lines(self) -> list[str]:
        """The fault in at most four lines, the first one without a label."""
        labelled = (("where", self.where), ("why", self.why), ("fix", self.hint))
        return [self.what, *(f"  {label}: {text}" for label, text in labelled if text)]


class SegtrainError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code = 70

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__("\n".join(line for problem in self.problems for line in problem.lines()))

    def __reduce__(self) -> tuple[type[SegtrainError], tuple[Problem, ...]]:
        """Come whole out of another process: by default only the text would."""
        return type(self), self.problems


class ConfigError(SegtrainError):
    """A wrong key, value, flag or name in what the user wrote."""

    exit_code = 2


class DataError(SegtrainError):
    """Input data that cannot be used as it is."""

    exit_code = 3


class UnreadableScan(DataError):
    """A file that is damaged, truncated or of another kind than its name says."""


class GridMismatch(DataError):
    """Two arrays that must lie on one grid do not."""


class ResourceError(SegtrainError):
    """Too little memory or disk, or a device that is not there."""

    exit_code = 4


class OutOfMemory(ResourceError):
    """Too little memory for one thing, such as a large scan; a smaller one may fit."""


class DivergedError(SegtrainError):
    """Training produced a loss or weights that are not finite."""

    exit_code = 5


class CheckpointError(SegtrainError):
    """A checkpoint that is damaged, untrusted or made for another network."""

    exit_code = 6


class CheckFailed(SegtrainError):
    """A result was compared with what it must be, and differs."""

    exit_code = 1


class EndedElsewhere(SegtrainError):
    """Another process of a training in several ended it, and has said why; this one ends alike, without a word."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[EndedElsewhere], tuple[int]]:  # type: ignore[override]
        """Come whole out of another process."""
        return type(self), (self.exit_code,)


def raise_all(error: type[SegtrainError], problems: Iterable[Problem]) -> None:
    """Raise one `error` with all `problems`; do nothing when there are none."""
    found = tuple(problems)
    if found:
        raise error(*found)
