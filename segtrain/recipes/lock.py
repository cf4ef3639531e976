"""One process a folder: a lock file that names its process, and what a dead process leaves behind."""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event
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

BEGUN_SECONDS = 10.0
"""So long an empty lock may be one that is being written; after that its process died before it could be."""

HALF_WRITTEN = re.compile(r"\..+\.(\d+)\.tmp")
"""How `core.files` calls a file until it is whole: .NAME.PID.tmp."""

_OURS: set[str] = set()
"""What the locks say that this process holds: in a container, a dead one often had the same number."""

T = TypeVar("T")


class Lock:
    """The lock of a folder, held by this process."""

    def __init__(self, file: Path, owner: str) -> None:
        self._file, self._owner = file, owner
        self._is_lost = threading.Event()

    def guarded(self, work: Generator[Event, None, T]) -> Generator[Event, None, T]:
        """The same events; ConfigError, also inside of the work, at the first one after another process took over.

        So the work ends as it does on any error, and does not save a checkpoint over that of its successor.
        """
        with closing(work):
            while True:
                try:
                    event = next(work)
                except StopIteration as end:
                    found: T = end.value
                    return found
                try:
                    yield event
                finally:  # also where it is broken off
                    if self._is_lost.is_set():
                        work.throw(self._loss())

    def _loss(self) -> ConfigError:
        what, why = "another segtrain took this folder over", "this one gave no sign of life for too long"
        hint = "let the other one go on, or end it and go on with --resume"
        return ConfigError(Problem(what, str(self._file.parent), why, hint))

    def beat(self, ended: threading.Event) -> None:
        """Touch the file now and then, so that other hosts, which cannot ask for the process, see that it lives."""
        while not ended.wait(BEAT_SECONDS):
            with suppress(OSError):
                found = _content(self._file)
                if found == self._owner:
                    os.utime(self._file)
                elif found is not None:
                    self._is_lost.set()
                    return


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Keep a second process out; a lock whose process is dead is taken over, and its half-written files deleted."""
    file = path / LOCK
    with ExitStack() as stack:
        with disk_errors(file):
            owner = stack.enter_context(_held(file))
            _delete_half_written(path)
        lock, ended = Lock(file, owner), threading.Event()
        heart = threading.Thread(target=lock.beat, args=(ended,), name="lock", daemon=True)
        heart.start()
        try:
            yield lock
        finally:
            ended.set()
            heart.join()


def _delete_half_written(path: Path) -> None:
    """What dead processes of this machine left."""
    for file_or_folder in path.rglob(".*.tmp"):
        match = HALF_WRITTEN.fullmatch(file_or_folder.name)
        if match and file_or_folder.is_file() and not _process_is_alive(match[1]):
            file_or_folder.unlink(missing_ok=True)


@contextmanager
def _held(file: Path) -> Iterator[str]:
    """Hold a lock file, whose content is given: who, where, and a word of its own."""
    owner = f"{os.getpid()} {socket.gethostname()} {secrets.token_hex(8)}"
    _OURS.add(owner)
    try:
        while not _placed(file, owner):
            _remove_dead(file)
        try:
            yield owner
        finally:
            if _content(file) == owner:
                file.unlink(missing_ok=True)
    finally:
        _OURS.discard(owner)


def _placed(file: Path, owner: str) -> bool:
    """Put the lock down with its content, unless there is one."""
    whole = file.with_name(f"{file.name}.{secrets.token_hex(4)}.{os.getpid()}.tmp")
    try:
        whole.write_text(owner, encoding="utf-8")
        os.link(whole, file)
    except FileExistsError:
        return _content(file) == owner  # NFS may say so of a link that it has just made
    except OSError:
        return _created(file, owner)
    finally:
        whole.unlink(missing_ok=True)
    return True


def _created(file: Path, owner: str) -> bool:
    """The same where a drive knows no links: for a moment the lock is empty, which `_is_alive` knows."""
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "wb", buffering=0) as opened:
            opened.write(owner.encode())
    except OSError:
        file.unlink(missing_ok=True)
        raise
    return True


def _remove_dead(file: Path) -> None:
    """Delete the lock of a dead process. ConfigError where it may live.

    Between a look at a lock and its deletion another process could take it over. So whoever deletes one holds a second
    lock meanwhile, and looks once more.
    """
    dead = _content(file)
    if dead is None:
        return
    _require_free(file)
    with _held(file.with_name(f"{file.name}.removal")):
        if _content(file) == dead:
            file.unlink(missing_ok=True)


def require_free(path: Path) -> None:
    """ConfigError where another process writes to the folder.

    On a cluster that may be a former attempt at the same work, on a node that was lost: its end is waited for.
    """
    _require_free(path / LOCK)


def _require_free(file: Path) -> None:
    owner = _content(file)
    if owner is not None and _is_alive(file) and not _ends(file, patience_seconds()):
        hint = f"wait for it, or delete {file} if no segtrain runs there"
        why = f"held by process {' '.join(owner.split()[:2])}"
        raise ConfigError(Problem("another segtrain writes to this folder", str(file.parent), why, hint))


def _ends(file: Path, seconds: float) -> bool:
    """Whether the process of a lock is gone within that time, or leaves the lock untouched for too long."""
    until = time.monotonic() + seconds
    touched, since = None, time.monotonic()
    while time.monotonic() < until:
        try:
            last = file.stat().st_mtime_ns
        except FileNotFoundError:
            return True
        if not _is_alive(file):
            return True
        if last != touched:
            touched, since = last, time.monotonic()
        if time.monotonic() - since > STILL_SECONDS:
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _content(file: Path) -> str | None:
    """Who holds a lock; None where there is none."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _is_alive(file: Path) -> bool:
    """Whether the process of a lock may live."""
    try:
        owner, seconds = file.read_text(encoding="utf-8"), time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return False
    pid, host, *_ = *owner.split(), "", ""
    if not host:
        return seconds < BEGUN_SECONDS
    if host == socket.gethostname() and pid == str(os.getpid()):
        return owner in _OURS
    if host == socket.gethostname() and os.name != "nt":  # os.kill(pid, 0) would send Ctrl-C there
        return _process_is_alive(pid)
    return seconds < DEAD_SECONDS


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
