"""Independent pieces of work in a bounded number of processes; one that dies costs its piece a second try, no more.

Why not `multiprocessing`: its children import the main module of the caller, so that a script which calls
`segtrain.fit` outside of `if __name__ == "__main__"` would begin again in each of them (on Windows and macOS always);
and its pools do not know which piece a dead child held, but give all of them up. Here a child is a plain
`python -c`, which reads a piece from its stdin, answers on its stdout, and ends when its stdin does: when the command
was killed, too. It holds one piece at a time, so `workers` pieces are in memory at once and never more. `child` is what
runs there.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, Any, Generic, TypeVar, cast

from segtrain.core.events import StillWorking
from segtrain.execution.child import CHILD, GRACE_SECONDS, reason, taken

Piece = TypeVar("Piece")
Result = TypeVar("Result")

HANG_SECONDS = 3600.0
"""A process that works longer on one piece hangs, as on a network drive that went away: it is ended."""
ATTENTION_SECONDS = 0.5
"""An interrupt that comes just before a wait for a lock does not end it: nobody waits longer than this at once."""


@dataclass(frozen=True, eq=False)
class Done(Generic[Piece, Result]):
    """A piece, and what the function made of it."""

    piece: Piece
    result: Result


@dataclass(frozen=True, eq=False)
class Died(Generic[Piece]):
    """The process that worked on a piece ended before it answered."""

    piece: Piece
    why: str
    again: bool
    """It is tried once more, alone, after all others."""


def each(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int, *, hang_seconds: float = HANG_SECONDS
) -> Generator[Done[Piece, Result] | Died[Piece], None, None]:
    """Apply a function of a module to every piece, in whatever order they get done; with 0 workers in this process.

    What the function raises is raised here, and ends the rest. Closed early, it ends the processes. A piece that takes
    longer than `hang_seconds` counts as dead.
    """
    if workers == 0:
        yield from _here(function, pieces)
        return
    with closing(each_watched(function, pieces, workers, hang_seconds=hang_seconds)) as outcomes:
        for outcome in outcomes:
            if not isinstance(outcome, StillWorking):
                yield outcome


def each_watched(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int, *, hang_seconds: float = HANG_SECONDS
) -> Generator[Done[Piece, Result] | Died[Piece] | StillWorking, None, None]:
    """As `each`, for long pieces: says twice a second that they are being worked on, so that one can break off there.

    Closed early, it asks the processes to end, and leaves them some seconds to put their work in order.
    """
    once_more: list[Piece] = []
    with closing(_elsewhere(function, pieces, workers, hang_seconds)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Died):
                once_more.append(outcome.piece)
                yield Died(outcome.piece, outcome.why, again=True)
            else:
                yield outcome
    yield from _elsewhere(function, once_more, 1, hang_seconds)


def _here(
    function: Callable[[Piece], Result], pieces: Sequence[Piece]
) -> Generator[Done[Piece, Result] | Died[Piece], None, None]:
    for piece in pieces:
        try:
            result = function(piece)
        except MemoryError:
            yield Died(piece, "out of memory", again=False)
        else:
            yield Done(piece, result)


def _elsewhere(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int, hang_seconds: float
) -> Generator[Done[Piece, Result] | Died[Piece] | StillWorking, None, None]:
    """One thread for each child, which waits for its answers."""
    children = [_Child(number, hang_seconds) for number in range(min(workers, len(pieces)))]
    idle: SimpleQueue[_Child] = SimpleQueue()
    for child in children:
        idle.put(child)

    def work(piece: Piece) -> Done[Piece, Result] | Died[Piece]:
        child = idle.get()
        try:
            return Done(piece, cast(Result, child.ask(function, piece)))
        except _Ended as end:
            return Died(piece, str(end), again=False)
        finally:
            idle.put(child)

    waiting: set[Future[Done[Piece, Result] | Died[Piece]]] = set()
    with ExitStack() as stack:
        for child in children:
            stack.callback(child.close)
        pool = stack.enter_context(ThreadPoolExecutor(max(1, len(children)), thread_name_prefix="worker"))
        stack.callback(_end, children)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        waiting.update(pool.submit(work, piece) for piece in pieces)
        while waiting:
            done, waiting = wait(waiting, timeout=ATTENTION_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            if not done:
                yield StillWorking()


def _end(children: Sequence[_Child]) -> None:
    """Ask all to end, and kill those that do not within some seconds."""
    for child in children:
        child.ask_to_end()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        child.kill(deadline - time.monotonic())


class _Ended(Exception):
    """A child is gone; the text says why."""


class _Child:
    """A process that is started when it is first asked, and again after it died."""

    def __init__(self, number: int, hang_seconds: float) -> None:
        self._number, self._hang_seconds = number, hang_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False
        self._lock = threading.Lock()

    def ask(self, function: Callable[[Any], Any], piece: Any) -> Any:
        """What the function makes of the piece. Raises _Ended, or what the function raises."""
        question = pickle.dumps((function, piece))
        process = self._started()
        questions, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        with _limited(process, self._hang_seconds) as hung:
            try:
                pickle.dump(question, questions)
                questions.flush()
                answered = pickle.load(answers)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:  # ValueError: closed meanwhile
                code = self.close()
                why = f"it gave no answer in {self._hang_seconds / 60:.0f} minutes" if hung.is_set() else reason(code)
                raise _Ended(why) from error
        return taken(answered)

    def ask_to_end(self) -> None:
        """Let the process leave its work in order, and start no other."""
        with self._lock:
            self._over = True
            if self._process is not None:
                with suppress(OSError):
                    cast(IO[bytes], self._process.stdin).close()

    def kill(self, wait_seconds: float) -> None:
        """End the process, whatever it does, where it has not ended by itself within a time."""
        process = self._process
        if process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, wait_seconds))
        process.kill()

    def close(self) -> int:
        """Wait for the end of the process, which follows from that of its stdin; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(OSError):
            cast(IO[bytes], process.stdin).close()
        cast(IO[bytes], process.stdout).close()
        return process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._over:
                raise _Ended("the command is over")
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", CHILD.format(number=self._number)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C reaches the whole terminal; what it means, the command decides
                )
                with suppress(OSError):  # dead already: the question will find out
                    pickle.dump(sys.path, cast(IO[bytes], self._process.stdin))
            return self._process


@contextmanager
def _limited(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """End the process if the block takes too long; the event says that it did."""
    hung = threading.Event()

    def end() -> None:
        hung.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield hung
    finally:
        timer.cancel()
