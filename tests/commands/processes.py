"""The command line in a process of its own, which can be killed.

Processes are forked from a server that has imported torch already, so that one begins in a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "segtrain.cli.app",
        "segtrain.cli.progress",
        "segtrain.cli.results",
        "segtrain.losses.builtin",
        "segtrain.recipes.compare_losses",
        "torch._dynamo",  # an optimiser's first step would import it
        "matplotlib.font_manager",
        "PIL.JpegImagePlugin",
        "contourpy",
    ]
)

PATIENCE = 60.0
"""Seconds after which a process hangs."""


@dataclass(frozen=True)
class Running:
    """A command that runs."""

    process: BaseProcess
    output: Path

    @property
    def said(self) -> str:
        """What stands on its terminal."""
        return self.output.read_text(encoding="utf-8")

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def ended(self, patience: float = PATIENCE) -> int:
        """Wait for its end: the exit code, or minus the signal that killed it."""
        self.process.join(patience)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(self.said)
        return self.process.exitcode

    def kill_when(self, happened: Callable[[], bool], delay: float = 0.0) -> int:
        """SIGKILL at once, or `delay` seconds, after something happened."""
        self.wait_until(happened)
        time.sleep(delay)
        self.send(signal.SIGKILL)
        return self.ended()

    def wait_until(self, happened: Callable[[], bool]) -> None:
        """Look again and again, until it has happened or the process has ended."""
        begun = time.monotonic()
        while not happened() and self.process.is_alive():
            if time.monotonic() - begun > PATIENCE:
                raise TimeoutError(self.said)
            time.sleep(0.001)


def start(
    output: Path,
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> Running:
    """Begin a command with one thread; both of its streams go to a file. `before`, a function that can be pickled, is
    called in its process first."""
    given = output, [str(a) for a in arguments], environment or {}, before
    process = CONTEXT.Process(target=_run, args=given, daemon=True)
    process.start()
    return Running(process, output)


def _run(
    output: Path, arguments: list[str], environment: Mapping[str, str], before: Callable[[], object] | None
) -> None:
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what nohup or a shell's & had ignored for the tests
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    import torch

    from segtrain.__main__ import main

    with output.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")
    torch.set_num_threads(1)
    if before is not None:
        before()
    sys.argv = ["segtrain", *arguments]
    main()
