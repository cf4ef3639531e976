"""A signal waits for the work to be saved; a second one does not wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from segtrain.cli.signals import INTERRUPTED, TERMINATED, Terminated, deferred, sigterm_raises
from segtrain.core.launch import NAMES
from tests.faults.table import fault

BOTH = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
OTHERS = [getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]
"""What asks a process to end, beside SIGTERM; Windows has none."""


def send(number: int) -> None:
    """Send this process a signal; Python runs the handler before this returns."""
    signal.raise_signal(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[dict[int, object]]:
    """What handles signals outside of the tests; none is ignored, as nohup would have it for all of them."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in OTHERS}
    yield {number: signal.getsignal(number) for number, _ in BOTH}
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "error"), BOTH)
def test_the_first_signal_waits_until_somebody_asks(number: int, error: type[BaseException]) -> None:
    said: list[str] = []
    with deferred(said.append) as stop:
        stop.raise_if_asked()
        send(number)
        assert len(said) == 1
        with pytest.raises(error):
            stop.raise_if_asked()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("second", "error"), BOTH)
def test_the_second_signal_stops_at_once(first: int, second: int, error: type[BaseException]) -> None:
    with deferred(lambda text: None):
        send(first)
        with pytest.raises(error):
            send(second)


@pytest.mark.parametrize("number", OTHERS)
@fault("F20", "SIGHUP and SIGUSR1, twice", then="143, and the second does not break off what is being saved")
def test_a_closed_terminal_and_a_batch_system_ask_as_sigterm_does_and_never_hurry(number: int) -> None:
    with deferred(lambda text: None) as stop:
        send(number)
        send(number)
        with pytest.raises(Terminated):
            stop.raise_if_asked()
        with pytest.raises(Terminated):
            send(signal.SIGTERM)
    with sigterm_raises(), pytest.raises(Terminated):
        send(number)


@pytest.mark.parametrize("number", OTHERS)
def test_what_nohup_lets_a_command_ignore_stays_ignored(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with sigterm_raises(), deferred(lambda text: None) as stop:
            send(number)
            stop.raise_if_asked()
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("handled", ["sigterm_raises()", "deferred(print)"])
def test_what_is_said_to_a_terminal_that_was_closed_goes_nowhere(handled: str) -> None:
    """Else an error of writing would break off what is being saved."""
    import pty

    script = f"""
import signal, sys, time
from segtrain.cli.signals import Terminated, deferred, sigterm_raises
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with {handled} as stop:
    try:
        print("ready", flush=True)
        while True:
            time.sleep(0.01)
            stop and stop.raise_if_asked()
    except Terminated:
        print("saving", flush=True)
        print("saving", file=sys.stderr, flush=True)
        sys.exit(5)
"""
    terminal, end = pty.openpty()
    package = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script]
    running = subprocess.Popen(command, stdout=end, stderr=end, env={**os.environ, **package})
    os.close(end)
    said = b""
    while b"\n" not in said:  # or the print may be under way, and fails
        said += os.read(terminal, 100)
    os.close(terminal)
    running.send_signal(signal.SIGHUP)
    assert running.wait(30) == 5


class TestOneOfSeveralProcesses:
    """The batch system signals all of them, and torchrun hands its own signal on."""

    @pytest.fixture(autouse=True)
    def _launched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in zip(NAMES, ("1", "1", "2", "localhost", "29500"), strict=True):
            monkeypatch.setenv(name, value)

    def test_an_echo_of_the_signal_is_no_second_one(self) -> None:
        said: list[str] = []
        with deferred(said.append) as stop:
            send(signal.SIGTERM)
            send(signal.SIGTERM)
            with pytest.raises(Terminated):
                stop.raise_if_asked()
        assert len(said) == 1

    def test_later_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with deferred(lambda text: None):
            send(signal.SIGTERM)
            now = time.monotonic()
            monkeypatch.setattr("segtrain.cli.signals.time", SimpleNamespace(monotonic=lambda: now + 11))
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)


def test_what_is_asked_for_twice_is_said_once() -> None:
    said: list[str] = []
    with deferred(said.append):
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert said == ["stopping as soon as the work can be saved; once more stops at once"]


def test_ctrl_c_is_not_taken_for_a_termination() -> None:
    with deferred(lambda text: None) as stop:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as error:
            stop.raise_if_asked()
    assert not isinstance(error.value, Terminated)


def test_a_command_that_does_not_defer_is_terminated_at_once() -> None:
    with sigterm_raises(), pytest.raises(Terminated):
        send(signal.SIGTERM)


def test_whoever_saves_work_on_an_interrupt_does_so_on_a_termination() -> None:
    assert issubclass(Terminated, KeyboardInterrupt)
    assert (INTERRUPTED, TERMINATED) == (130, 143)


@pytest.mark.parametrize("how", ["well", "badly", "signalled"])
def test_handlers_are_as_before_however_it_ends(how: str, handlers: dict[int, object]) -> None:
    def work() -> None:
        with sigterm_raises(), deferred(lambda text: None) as stop:
            assert signal.getsignal(signal.SIGINT) != handlers[signal.SIGINT]
            if how == "badly":
                raise RuntimeError("mine")
            if how == "signalled":
                send(signal.SIGTERM)
                stop.raise_if_asked()

    if how == "well":
        work()
    else:
        with pytest.raises(RuntimeError if how == "badly" else Terminated):
            work()
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_within_a_deferral_the_outer_handler_comes_back_after_it() -> None:
    with sigterm_raises():
        with deferred(lambda text: None):
            send(signal.SIGTERM)
        with pytest.raises(Terminated):
            send(signal.SIGTERM)


@pytest.mark.parametrize("block", [sigterm_raises, lambda: deferred(lambda text: None)])
def test_another_thread_leaves_the_handlers_alone(block: object, handlers: dict[int, object]) -> None:
    found: list[object] = []

    def work() -> None:
        with block():  # type: ignore[operator]
            found.append({number: signal.getsignal(number) for number in handlers})

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [handlers]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_just_ends_when_it_is_terminated() -> None:
    code = """
import os, signal, sys, time
from segtrain.cli.signals import sigterm_raises

with sigterm_raises():
    child = os.fork()
    if child == 0:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            print("the child went on")
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["143"]
