"""Files that are either whole or not there.

Text and bytes go to a temporary name in the same folder, are flushed to the disk, and then renamed: a killed
process or a full disk leaves the previous file as it was. The temporary name is one writer's own, so that two may write
the same file at once: the later one wins, whole.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segtrain.core.errors import DataError, Problem, ResourceError, UnreadableScan

ABANDONED_SECONDS = 86_400.0
"""No file takes a day to write; process numbers would not tell, as a folder may be shared by machines."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Where there is no room; whatever else keeps one from writing, space does not help."""
LONGEST_BEGINNING = 200
"""Bytes of a name that something is added to."""


def real_path(path: Path) -> Path:
    """The path with its links followed, whether or not something is there. DataError where one leads to itself."""
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError) as error:  # the latter up to Python 3.12, and for the home of nobody
        why = "it is a link that leads to itself, its name is too long, or nobody here has that home"
        raise DataError(Problem("a path cannot be followed", str(path), why, "name the folder itself")) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate a full disk or a read-only folder into a ResourceError that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        elsewhere = "choose another folder that you may write to"
        hint = f"free some space, or {elsewhere}" if error.errno in FULL else elsewhere
        raise ResourceError(Problem(f"cannot write {path}", why=reason, hint=hint)) from error


@contextmanager
def scan_errors(path: Path) -> Iterator[None]:
    """Translate what keeps a file or folder of scans from being opened into an UnreadableScan that names it."""
    try:
        yield
    except OSError as error:
        hint = "check the path and its permissions"
        raise UnreadableScan(Problem("a scan cannot be read", str(path), error.strerror or str(error), hint)) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; move it into place when the block ends well."""
    with whole_cache_file(path) as temporary:
        yield temporary
    with disk_errors(path):
        sync_folder(path.parent)


@contextmanager
def whole_cache_file(path: Path) -> Iterator[Path]:
    """`whole_file` for what can be made again: after a power cut it is whole, or as it was, or gone.

    The folder is not flushed, which takes as long as the file.
    """
    with checked_file(path) as temporary:
        yield temporary
        sync(temporary)


@contextmanager
def checked_file(path: Path) -> Iterator[Path]:
    """`whole_cache_file` for what holds a hash of itself: nothing is flushed; after a power cut it may be wrong."""
    temporary = path.with_name(f".{shortened(path.name)}.{secrets.token_hex(4)}.{os.getpid()}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def shortened(name: str) -> str:
    """The beginning of a name, so that what is added to it leaves the name of a file: 255 bytes in most systems."""
    return name.encode()[:LONGEST_BEGINNING].decode(errors="ignore")


def remove_abandoned(folder: Path) -> None:
    """Delete what a killed writer left half-written below a folder that has no lock: whatever is a day old."""
    yesterday = time.time() - ABANDONED_SECONDS
    for temporary in folder.rglob(".*.tmp"):
        with suppress(OSError):  # another process was faster
            if temporary.stat().st_mtime < yesterday:
                temporary.unlink()


def sync(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's entries are on the disk, where the system can tell (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends. DataError where a name in it, from a disk, is no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        why = f"{text[max(0, error.start - 20) : error.end + 20]!a} is no UTF-8"
        hint = "rename the file or folder: its name was written by a system with another encoding"
        raise DataError(Problem(f"a name cannot be written to {path.name}", why=why, hint=hint)) from error
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON; NaN and infinity are refused, since they are not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
