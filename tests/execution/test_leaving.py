"""Asked to end: at once, or where whoever works looks."""

from __future__ import annotations

import signal
import threading

import pytest

from segtrain.execution.leaving import heeding, leave_if_asked


def test_what_does_not_look_ends_where_it_is():
    with pytest.raises(SystemExit) as error, heeding(signal.SIGTERM):
        signal.raise_signal(signal.SIGTERM)
    assert error.value.code == 143


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_what_looks_ends_where_it_looks_again(number, raised):
    with heeding(number):
        leave_if_asked()
        signal.raise_signal(number)
        signal.raise_signal(number)
        with pytest.raises(raised):
            leave_if_asked()


def test_the_next_piece_is_asked_anew():
    with heeding(signal.SIGTERM):
        leave_if_asked()
        signal.raise_signal(signal.SIGTERM)
    with heeding(signal.SIGTERM):
        leave_if_asked()
    with pytest.raises(SystemExit), heeding(signal.SIGTERM):
        signal.raise_signal(signal.SIGTERM)


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with heeding(signal.SIGTERM):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_of_the_main_thread_nothing_is_asked():
    done = []

    def work():
        with heeding(signal.SIGTERM):
            leave_if_asked()
            done.append("piece")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["piece"]
