from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segtrain.cli.terminal import Outlasting
from tests.faults.table import fault

needs_terminal = pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")

LET_GO = """
import signal, sys
from segtrain.cli.console import Session, print_json
signal.signal(signal.SIGHUP, signal.SIG_IGN)
session = Session()
session.say("ready")
sys.stdin.read()
session.say("still training")
session.result({}, "a result")
print_json({"a": "result"})
sys.exit(5)
"""


class _Fails(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, "cannot write")

    def flush(self) -> None:
        raise OSError(self.number, "cannot flush")


@needs_terminal
@fault("F20", "the terminal is closed, and the job was let go of (`disown`)", then="the command goes on in silence")
def test_a_command_goes_on_when_its_terminal_is_closed() -> None:
    """A shell that lets go of a job (`disown`) sends no signal; the job's next word would end it."""
    terminal, end = os.openpty()
    package = {"PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(
        [sys.executable, "-c", LET_GO],
        stdin=subprocess.PIPE,
        stdout=end,
        stderr=end,
        env={**os.environ, **package},
    )
    os.close(end)
    said = b""
    while b"\n" not in said:
        said += os.read(terminal, 100)
    os.close(terminal)
    running.communicate(timeout=30)
    assert running.returncode == 5


def test_what_is_written_and_asked_of_a_stream_is_the_streams_own() -> None:
    stream = io.StringIO()
    lasting = Outlasting(stream)
    assert lasting.write("text") == 4
    lasting.flush()
    assert (stream.getvalue(), lasting.isatty()) == ("text", False)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO])
def test_a_closed_pipe_and_a_disk_that_is_full_or_broken_are_told(number: int) -> None:
    lasting = Outlasting(_Fails(number))
    with pytest.raises(OSError, match="cannot write"):
        lasting.write("text")
    with pytest.raises(OSError, match="cannot flush"):
        lasting.flush()
