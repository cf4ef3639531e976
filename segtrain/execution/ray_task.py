"""What runs on a node of a Ray cluster: one piece of work, in a process that ends after it.

So no piece finds what another one left in memory or on a GPU. The process is `patient`: of a node that was cut off
nobody can say at once whether it still writes.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segtrain.execution.child import answer
from segtrain.execution.leaving import heeding
from segtrain.execution.patience import be_patient
from segtrain.execution.ray_nodes import Mark, Seen, looker

PATIENCE_SECONDS = 300.0
"""Within this a node that lost the others has ended its processes: Ray's own limit is a minute."""


@dataclass(frozen=True, eq=False)
class Order:
    """What a task is told."""

    function: Callable[[Any], Any]
    piece: Any
    mark: Mark
    hang_seconds: float
    """A process that takes longer ends itself."""


@dataclass(frozen=True)
class Stranger:
    """The answer of a node that is not like the machine that asked: it did nothing."""

    node: str
    seen: Seen


@dataclass(frozen=True)
class TooLarge:
    """The answer where the memory did not suffice."""


def do(order: Order) -> tuple[bool, Any] | Stranger | TooLarge:
    """Do the piece, and answer as `child.answer` does, unless this node is another than it should be."""
    seen = looker()(str(order.mark.file), str(order.mark.folder))
    if seen != order.mark.seen:
        return Stranger(socket.gethostname(), seen)
    os.chdir(order.mark.folder)
    be_patient(PATIENCE_SECONDS)
    timer = threading.Timer(order.hang_seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
    try:
        with heeding(signal.SIGINT):  # what `ray.cancel` does to a task
            return answer(order.function, order.piece)
    except MemoryError:
        return TooLarge()
    finally:
        timer.cancel()
