"""Commands in a process of their own, under a limit, with file systems of their own, or in another surrounding."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.commands.processes import start

PATIENCE = 240
NEW_MOUNTS = 0x00020000
"""CLONE_NEWNS: os.unshare comes with Python 3.12."""


@dataclass(frozen=True)
class Told:
    """How a command ended, and what it said on both streams."""

    code: int
    text: str

    @property
    def in_words(self) -> bool:
        """Whatever happened, it was told in words."""
        return "Traceback" not in self.text and self.code != 70


def limited(output: Path, *arguments: str | Path, before: Callable[[], object] | None = None) -> Told:
    """A command in a forked process, with a limit or a mount of its own."""
    running = start(output / f"said-{len(list(output.glob('said-*')))}.txt", *arguments, before=before)
    return Told(running.ended(PATIENCE), running.said)


def afresh(*arguments: str | Path, environment: Mapping[str, str | None]) -> Told:
    """A command in a new interpreter; a variable of None is gone."""
    known = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    for name, value in environment.items():
        known.pop(name, None)
        if value is not None:
            known[name] = value
    command = [sys.executable, "-m", "segtrain", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=known, timeout=PATIENCE, check=False)
    return Told(done.returncode, done.stdout + done.stderr)


def largest_file(size: int) -> Callable[[], object]:
    """A limit that stands for a disk with no more space: writing beyond it fails as it does there."""
    return partial(_limit, "RLIMIT_FSIZE", size)


def most_data(size: int) -> Callable[[], object]:
    """A limit on the memory that a process may write to."""
    return partial(_limit, "RLIMIT_DATA", size)


def mounted(script: str) -> Callable[[], object]:
    """File systems of its own, in which a shell script mounts something."""
    return partial(_mount, script)


def can_mount() -> bool:
    """Whether this process may give a child file systems of its own."""
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _limit(name: str, size: int) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(getattr(resource, name), (size, size))


def _mount(script: str) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["sh", "-ec", f"mount --make-rprivate / 2>/dev/null || true; {script}"], check=True)
