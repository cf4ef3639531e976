"""The other side of `workers`: a process that reads pieces from its stdin, answers on its stdout, and ends with either.

A thread reads, while another works: so the end of stdin is noticed in the middle of a piece, too. It means that the
command wants the process to end, or is dead itself, however it died and on any system; the piece is then asked to end
as `leaving` says, and after some seconds the process ends whatever it does.
"""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import IO, Any

from segtrain.execution.leaving import heeding

GRACE_SECONDS = 15.0
"""In which a child that is asked to end may put its work in order."""
OUT_OF_MEMORY = 77
"""Exit code of a child whose memory did not suffice, where the system says so instead of killing it."""
ENDING = ("SIGTERM", "SIGHUP", "SIGUSR1")
"""Signals that a batch system sends to every process of a job; Windows has the first alone."""
CHILD = (
    "import os, pickle, sys; questions = os.fdopen(os.dup(0), 'rb'); sys.path[:] = pickle.load(questions); "
    "from segtrain.execution.child import serve; serve({number}, questions)"
)
"""What `python -c` is told. Not sys.stdin: an interpreter that ends waits for whoever reads that."""

_slot: ContextVar[int] = ContextVar("slot")
"""Set once, in a child."""


def slot() -> int | None:
    """Which of the processes this one is, from 0 on; None in the one that asked for them."""
    return _slot.get(None)


def serve(number: int, questions: IO[bytes]) -> None:
    """The child: answer until the command ends. A question is the pickle of a pickled function and piece."""
    _slot.set(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows no session of its own keeps Ctrl-C away
    with suppress(BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # on Windows a library that looks at stdin waits for its reader
        desk = _Desk(questions)
        while (question := desk.next()) is not None:
            try:
                pickle.dump(_answered(question), answers)
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            desk.finished()
            answers.flush()


class _Desk:
    """Where one thread lays questions down and the other takes them."""

    def __init__(self, questions: IO[bytes]) -> None:
        self._questions = questions
        self._laid: SimpleQueue[bytes | None] = SimpleQueue()
        self._is_over = threading.Event()
        self._is_worked = threading.Event()
        threading.Thread(target=self._read, name="questions", daemon=True).start()

    def next(self) -> bytes | None:
        """The next question; None when the command has ended."""
        question = self._laid.get()
        self._is_worked.set()
        return None if self._is_over.is_set() else question

    def finished(self) -> None:
        """From here on there is nothing to interrupt."""
        self._is_worked.clear()

    def _read(self) -> None:
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                self._laid.put(pickle.load(self._questions))
        self._is_over.set()
        self._laid.put(None)
        if self._is_worked.is_set():
            _interrupt()
        time.sleep(GRACE_SECONDS)
        os._exit(128 + signal.SIGTERM)


def _interrupt() -> None:
    """SIGTERM to the thread that works, which also wakes it from a wait where the system can do that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        _thread.interrupt_main(signal.SIGTERM)


def _answered(question: bytes) -> tuple[bool, Any]:
    with heeding(*(getattr(signal, name) for name in ENDING if hasattr(signal, name))):
        function, piece = pickle.loads(question)
        return answer(function, piece)


def answer(function: Callable[[Any], Any], piece: Any) -> tuple[bool, Any]:
    """Whether the function returned, and what, or what it raised: for `taken` in another process.

    Raises MemoryError, which is an end without an answer.
    """
    try:
        return True, function(piece)
    except MemoryError:
        raise
    except Exception as error:
        told = traceback.format_exc()
        try:
            whole = pickle.loads(pickle.dumps(error))
        except Exception:  # an exception that cannot travel; its text can
            whole = RuntimeError(told)
        return False, (whole, told)


def taken(answered: tuple[bool, Any]) -> Any:
    """What the function of an `answer` returned; raises what it raised."""
    returned, value = answered
    if returned:
        return value
    raised, told = value
    raised.add_note(f"in another process:\n{told}")
    raise raised


def reason(code: int) -> str:
    """What an exit code says about a process that should have answered."""
    if code == OUT_OF_MEMORY:
        return "out of memory"
    if code >= 0:
        return f"it ended with exit code {code}"
    number = -code
    name = signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"
    hint = ", as a system ends what takes too much memory" if name == "SIGKILL" else ""
    return f"it was ended by {name}{hint}"
