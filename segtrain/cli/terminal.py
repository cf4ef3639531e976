"""A terminal that is closed under a command, as when a connection breaks or a shell lets go of it: what is still said
goes nowhere, because an error of writing would break off the work.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, TextIO


class Outlasting:
    """A stream whose writing outlasts the terminal that it leads to; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream does; nothing fails on a closed terminal."""
        try:
            return self._stream.write(text)
        except OSError as error:
            _leave(error)
            return self._stream.write(text)

    def flush(self) -> None:
        """As the stream does; nothing fails on a closed terminal."""
        try:
            self._stream.flush()
        except OSError as error:
            _leave(error)
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def leave_closed_terminal() -> None:
    """Let stdout and stderr go nowhere from now on, each of them that leads to a terminal which is gone."""
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        if _is_closed_terminal(number := stream.fileno()):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
            os.close(nothing)


def _leave(error: OSError) -> None:
    """Leave the terminal if it may be gone; a second try tells whether it was that, or a disk that answers so."""
    if error.errno != errno.EIO:
        raise error
    leave_closed_terminal()


def _is_closed_terminal(number: int) -> bool:
    """Whether a file descriptor is of a terminal that was closed; Windows has no such thing."""
    try:
        import termios
    except ImportError:
        return False
    try:
        termios.tcgetattr(number)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False
