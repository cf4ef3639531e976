"""What the processes of test_workers.py and test_ray_cluster.py are asked to do; they import it by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from segtrain.core.errors import Problem, UnreadableScan
from segtrain.execution.child import slot
from segtrain.execution.leaving import leave_if_asked
from segtrain.execution.patience import patience_seconds


@dataclass(frozen=True)
class Piece:
    """A number, and a folder to leave marks in."""

    number: int
    folder: Path


def square(piece: Piece) -> tuple[int, int]:
    """The process that did it, and the result."""
    return os.getpid(), piece.number**2


def numbered(piece: Piece) -> int | None:
    """The number of the process, which takes its time, so that each gets a piece."""
    time.sleep(0.3)
    return slot()


def slowly(piece: Piece) -> int:
    """Tells when it begins and ends."""
    (piece.folder / f"{piece.number}.begun").touch()
    time.sleep(0.2)
    (piece.folder / f"{piece.number}.ended").touch()
    return len(list(piece.folder.glob("*.begun"))) - len(list(piece.folder.glob("*.ended")))


def endless(piece: Piece) -> None:
    """Writes down who it is, and never ends."""
    unfinished = piece.folder / f"{piece.number}.pid.tmp"
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(piece.folder / f"{piece.number}.pid")
    time.sleep(3600)


def killed_at_3(piece: Piece) -> int:
    """Piece 3 costs every process its life."""
    if piece.number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return piece.number


def killed_at_3_once(piece: Piece) -> int:
    """Piece 3 is done at the second try."""
    mark = piece.folder / "tried"
    if piece.number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return piece.number


def no_memory(piece: Piece) -> int:
    """Too large."""
    raise MemoryError


def exits(piece: Piece) -> int:
    """Leaves without an answer."""
    os._exit(5)


def unreadable(piece: Piece) -> int:
    """Raises what a user can mend."""
    raise UnreadableScan(Problem("damaged", f"case {piece.number}", "it is cut short", "copy it again"))


class Stubborn(Exception):
    """Cannot travel between processes."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(f"{first} and {second}")


def stubborn(piece: Piece) -> int:
    """Raises what cannot travel."""
    raise Stubborn("one", "two")


def talkative(piece: Piece) -> int:
    """As a library that prints does, in Python and beneath it."""
    sys.stdout.write("this is no answer\n")
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", "print('neither is this')"], check=True)
    return piece.number


def orderly(piece: Piece) -> None:
    """Never ends, and leaves its folder in order when it is interrupted."""
    try:
        (piece.folder / f"{piece.number}.begun").touch()
        while True:
            time.sleep(0.01)
    finally:
        (piece.folder / f"{piece.number}.ended").touch()


def by_events(piece: Piece) -> None:
    """Never ends, and saves its work between two events where it is asked to end; interrupted, it could not."""
    leave_if_asked()
    (piece.folder / f"{piece.number}.begun").touch()
    with closing(_saving(piece)) as events:
        for _ in events:
            leave_if_asked()


def _saving(piece: Piece) -> Iterator[None]:
    while True:
        time.sleep(0.01)
        try:
            yield
        except GeneratorExit:
            (piece.folder / f"{piece.number}.saved").touch()
            raise


def curious(piece: Piece) -> str:
    """As a library that asks a question."""
    return sys.stdin.readline()


def stubborn_to_the_end(piece: Piece) -> None:
    """Does not listen."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    endless(piece)


def on_a_node(piece: Piece) -> str:
    """Where it was done. The first time it goes on until its node is lost."""
    import ray

    node = str(ray.get_runtime_context().get_node_id())
    mark = piece.folder / f"{piece.number}.node"
    if not mark.exists():
        unfinished = mark.with_suffix(".tmp")
        unfinished.write_text(node)
        unfinished.rename(mark)
        if piece.number == 0:
            time.sleep(3600)
    return node


def patience(piece: Piece) -> float:
    """How long this process may wait."""
    return patience_seconds()


def broken_package() -> None:
    """As an import fails where a library is missing."""
    raise ImportError("libcudart.so.13 is missing")


class Unreadable:
    """A piece that can be sent, and not be received."""

    def __reduce__(self):
        return broken_package, ()
