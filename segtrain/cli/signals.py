"""SIGINT, and what asks a process to end: SIGTERM, SIGHUP of a terminal that was closed, and SIGUSR1, by which a batch
system may say that the time is nearly over. A command that trains is stopped between two events, where its work can be
saved whole; a second SIGINT or SIGTERM, and any signal to other commands, stops at once. A closed terminal sends SIGHUP
twice, and nobody waits at it: those never hurry.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from segtrain.cli.terminal import leave_closed_terminal
from segtrain.core.launch import launched

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM

ENDING = ("SIGTERM", "SIGHUP", "SIGUSR1")
"""Signals that end a command as SIGTERM does, with its exit code; Windows has the first alone."""

HURRYING = (signal.SIGINT, signal.SIGTERM)
"""Signals by which somebody says a second time that it should end."""

ECHO_S = 10.0
"""Seconds in which one of several processes takes a second signal for the first: a batch system sends one to all, and
torchrun hands its own on."""

Handler = Callable[[int, FrameType | None], None]


class Terminated(KeyboardInterrupt):
    """One of `ENDING`, raised in the main thread. It is a KeyboardInterrupt to whoever saves work on one."""

    exit_code = TERMINATED


class Stop:
    """What the signals asked for so far."""

    def __init__(self, say: Callable[[str], None], echo_s: float) -> None:
        self._say = say
        self._echo_s = echo_s
        self._asked: int | None = None
        self._when = 0.0

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The handler: remember the first signal, raise on the second unless it is an echo of the first."""
        del frame
        leave_closed_terminal()
        if self._asked is not None:
            if number not in HURRYING or time.monotonic() - self._when < self._echo_s:
                return
            raise _error(number)
        self._asked, self._when = number, time.monotonic()
        self._say("stopping as soon as the work can be saved; once more stops at once")

    def raise_if_asked(self) -> None:
        """Raise what the signal would have raised."""
        if self._asked is not None:
            raise _error(self._asked)


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Make what asks to end a `Terminated` in this process; a forked child of it just ends."""
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != owner:
            os._exit(TERMINATED)
        leave_closed_terminal()
        raise _error(number)

    with _handled(dict.fromkeys(_ending(), stop)):
        yield


@contextmanager
def deferred(say: Callable[[str], None]) -> Iterator[Stop]:
    """Let signals wait until whoever works asks `raise_if_asked`."""
    stop = Stop(say, ECHO_S if launched() else 0.0)
    with _handled(dict.fromkeys((signal.SIGINT, *_ending()), stop.ask)):
        yield stop


@contextmanager
def _handled(handlers: dict[int, Handler]) -> Iterator[None]:
    """Handlers for the time of a block; elsewhere than in the main thread there are none to set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending() -> list[signal.Signals]:
    """The signals of `ENDING` that this system has, less those that are ignored, as nohup asks it of SIGHUP."""
    there = (getattr(signal, name, None) for name in ENDING)
    return [number for number in there if number is not None and signal.getsignal(number) is not signal.SIG_IGN]


def _error(number: int) -> KeyboardInterrupt:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated()
