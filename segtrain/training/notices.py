"""What processes that train together write up for each other, beside the collectives: who is there, and who ended.

torchrun keeps the table (a TCPStore) in a process of its own, so it outlives the ranks. To look into it costs nothing
and cannot hang, which makes waiting for a rank that prepares scans for hours a matter of looking again.

**One voice.** The first rank that fails writes its exit code up before it leaves. Whoever finds it, or loses its peers,
ends with the same code and says nothing: `EndedElsewhere`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from datetime import timedelta

import torch.distributed as dist

from segtrain.core.errors import EndedElsewhere, Problem, ResourceError, SegtrainError
from segtrain.core.launch import Launch

TIME_TO_MEET = timedelta(minutes=10)
"""How long the first rank waits until all are there."""
ASK_AGAIN_S = 0.05
"""Seconds between two looks."""
PRECEDENCE_S = 2.0
"""Seconds that the others give the first rank to say what all of them may have met."""
FAREWELL_S = 1.0
"""Seconds that a silent rank stays: torchrun terminates the others when one ends, also the one that speaks."""
ENDED = "ended"
TRAININGS = itertools.count()
"""Numbers the trainings of this process; all ranks have them alike."""


class Notices:
    """The table, as one rank sees it. ResourceError where whoever keeps it is gone."""

    def __init__(self, store: dist.Store, launch: Launch) -> None:  # type: ignore[name-defined]
        self.store = store
        self._launch = launch

    def put(self, key: str, text: str) -> None:
        """Write something up under this rank's name."""
        self.store.set(f"{key}/{self._launch.rank}", text)

    def everybody(self, key: str) -> list[str]:
        """What all ranks wrote up under a key, by rank, however long it takes. EndedElsewhere where one has ended."""
        keys = [f"{key}/{rank}" for rank in range(self._launch.size)]
        while not self._holds(keys):
            if self._holds([ENDED]):
                raise self.ended_elsewhere()
            time.sleep(ASK_AGAIN_S)
        return [self.store.get(key).decode() for key in keys]

    def speaks(self, exit_code: int) -> bool:
        """Whether this rank is the one that says why all end; where all met the same, it is the first one."""
        mine = f"{self._launch.rank}:{exit_code}"
        try:
            if not self._launch.is_first:
                self._wait_for_an_end(PRECEDENCE_S)
            return bool(self.store.compare_set(ENDED, "", mine).decode() == mine)
        except (ResourceError, dist.DistError):
            return True

    def ended_elsewhere(self) -> EndedElsewhere:
        """What this rank raises because another one ends: its exit code, once it is written up."""
        self._wait_for_an_end(10 * PRECEDENCE_S)
        time.sleep(FAREWELL_S)
        code = self.store.get(ENDED).decode().partition(":")[2] if self._holds([ENDED]) else ""
        return EndedElsewhere(int(code or ResourceError.exit_code))

    def _wait_for_an_end(self, seconds: float) -> None:
        begun = time.monotonic()
        while not self._holds([ENDED]) and time.monotonic() - begun < seconds:
            time.sleep(ASK_AGAIN_S)

    def _holds(self, keys: Sequence[str]) -> bool:
        try:
            return bool(self.store.check(list(keys)))
        except dist.DistError as error:
            raise lost(error) from error


def notices_of(launch: Launch) -> Notices:
    """The table that all ranks share. ResourceError where they cannot meet."""
    if not (dist.is_available() and dist.is_gloo_available()):
        raise ResourceError(Problem("this torch cannot train in several processes", hint="install one with gloo"))
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=TIME_TO_MEET))  # type: ignore[attr-defined]
    except (RuntimeError, ValueError, OSError) as error:
        what, hint = f"rank {launch.rank} cannot meet the others", "start all with torchrun, as docs/scaling.md shows"
        raise ResourceError(Problem(what, why=first_line(error), hint=hint)) from error
    # Under a name of its own: a script may train more than once, and the table outlives each training.
    return Notices(dist.PrefixStore(f"segtrain {next(TRAININGS)}", store), launch)  # type: ignore[attr-defined]


def exit_code_of(error: BaseException) -> int:
    """The code with which a command ends after that error."""
    if isinstance(error, KeyboardInterrupt):
        return int(getattr(error, "exit_code", 130))
    if isinstance(error, MemoryError):
        return ResourceError.exit_code
    return error.exit_code if isinstance(error, SegtrainError) else SegtrainError.exit_code


def translated(error: BaseException) -> BaseException:
    """A peer that is gone is no bug: a ResourceError instead of what gloo or NCCL say. Other errors as they are."""
    told_by_gloo = isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    return lost(error) if told_by_gloo or isinstance(error, dist.DistError) else error


def lost(error: BaseException) -> ResourceError:
    """A peer that ended without a word."""
    hint = "its own lines and those of torchrun say why it ended; --resume goes on from the last checkpoint"
    return ResourceError(Problem("another process of this training is gone", why=first_line(error), hint=hint))


def first_line(error: BaseException) -> str:
    """What an error says, without the stack that torch adds."""
    return str(error).partition("\n")[0]
