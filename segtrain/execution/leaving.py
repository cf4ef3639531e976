"""How a process that works on a piece is asked to end, and where it does.

Two kinds of pieces must end soon: short ones, as the preparation of a case, end wherever they are; whoever trains ends
between two events, where its work can be saved whole. The second kind calls `leave_if_asked` there. Who has called it
once is trusted to call it again, and is not interrupted elsewhere.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Request:
    """What was asked of this process, and whether its piece looks."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.is_looked_at = False


_request = _Request()


@contextmanager
def heeding(*numbers: int) -> Iterator[None]:
    """For the time of one piece these signals ask it to end. Outside of the main thread none can be set."""
    _request.number, _request.is_looked_at = None, False
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_if_asked() -> None:
    """Between two events of long work: raises what ends the process, where it was asked to end.

    SystemExit with the exit code of the signal, or KeyboardInterrupt.
    """
    _request.is_looked_at = True
    if _request.number is not None:
        raise _end(_request.number)


def _ask(number: int, frame: FrameType | None) -> None:
    """The handler. What already is on its way out is left to it."""
    del frame
    is_first, _request.number = _request.number is None, number
    if is_first and not _request.is_looked_at:
        raise _end(number)


def _end(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
