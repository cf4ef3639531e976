"""One process a folder: a lock file that names its process, and what a dead process leaves behind."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.files import disk_errors
from segtrain.execution.patience import patience_seconds

LOCK = ".lock"

BEAT_SECONDS = 30.0
"""Between two touches of a lock that is held."""

DEAD_SECONDS = 600.0
"""So long untouched, the lock of another host, or of Windows, is that of a dead process. Clocks may differ by less."""

STILL_SECONDS = 4 * BEAT_SECONDS
"""So long untouched, while somebody watches, it is so on any host and whatever the clocks say."""

LOOK_SECONDS = 0.5
"""Between two looks at a lock that is watched."""

HALF_WRITTEN = re.compile(r"\..+\.(\d+)\.tmp")
"""How `core.files` calls a file until it is whole: .NAME.PID.tmp."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a second process out; a lock whose process is dead is taken over, and its half-written files deleted."""
    lock = path / LOCK
    owner = f"{os.getpid()} {socket.gethostname()}"
    with disk_errors(lock):
        while True:
            try:
                with lock.open("x", encoding="utf-8") as file:
                    file.write(owner)
                break
            except FileExistsError:
                require_free(path)
                lock.unlink(missing_ok=True)
        for file_or_folder in path.rglob(".*.tmp"):
            match = HALF_WRITTEN.fullmatch(file_or_folder.name)
            if match and file_or_folder.is_file() and not _process_is_alive(match[1]):
                file_or_folder.unlink(missing_ok=True)
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(lock, ended), name="lock", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        lock.unlink(missing_ok=True)


def _beat(lock: Path, ended: threading.Event) -> None:
    """Touch the lock now and then, so that other hosts, which cannot ask for the process, see that it lives."""
    while not ended.wait(BEAT_SECONDS):
        with suppress(OSError):
            os.utime(lock)


def require_free(path: Path) -> None:
    """ConfigError where another process writes to the folder.

    On a cluster that may be a former attempt at the same work, on a node that was lost: its end is waited for.
    """
    lock = path / LOCK
    if lock.is_file() and _is_alive(lock) and not _ends(lock, patience_seconds()):
        hint = f"wait for it, or delete {lock} if no segtrain runs there"
        why = f"held by process {lock.read_text(encoding='utf-8')}"
        raise ConfigError(Problem("another segtrain writes to this folder", str(path), why, hint))


def _ends(lock: Path, seconds: float) -> bool:
    """Whether the process of a lock is gone within that time; a lock that it left untouched goes, too."""
    until = time.monotonic() + seconds
    touched, since = None, time.monotonic()
    while time.monotonic() < until:
        try:
            last = lock.stat().st_mtime_ns
            if not _is_alive(lock):
                return True
        except FileNotFoundError:
            return True
        if last != touched:
            touched, since = last, time.monotonic()
        if time.monotonic() - since > STILL_SECONDS:
            lock.unlink(missing_ok=True)
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _is_alive(lock: Path) -> bool:
    pid, _, host = lock.read_text(encoding="utf-8").partition(" ")
    here = host == socket.gethostname()
    if here and pid == str(os.getpid()):
        return False
    if here and os.name != "nt":  # os.kill(pid, 0) would send Ctrl-C there
        return _process_is_alive(pid)
    return bool(host) and time.time() - lock.stat().st_mtime < DEAD_SECONDS


def _process_is_alive(pid: str) -> bool:
    """Whether a process of this machine has that number; where that cannot be asked, it is taken to be alive."""
    if os.name == "nt":  # os.kill(pid, 0) would send Ctrl-C there
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
