"""How long a process may wait for a former attempt at its piece of work to end, where that one may be on another host.

On one machine a process that died is known to be dead. On a cluster it is not: a node that was lost may go on for a
while before it notices, and what it left in a folder names a process that nobody here can ask for. Whoever does pieces
on a cluster says once, in each process, how long to wait; everywhere else nobody waits.
"""

from __future__ import annotations

from contextvars import ContextVar

_seconds: ContextVar[float] = ContextVar("patience", default=0.0)


def be_patient(seconds: float) -> None:
    """From now on this process may wait so long."""
    _seconds.set(seconds)


def patience_seconds() -> float:
    """0 where nobody said otherwise."""
    return _seconds.get()
