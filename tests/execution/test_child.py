"""The child alone, asked by hand as `workers` asks it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import segtrain
from segtrain.core.errors import Problem, UnreadableScan
from segtrain.execution import child as module
from segtrain.execution.child import CHILD, answer, reason, taken
from tests.execution import pieces
from tests.execution.pieces import Piece

needs_kill = pytest.mark.skipif(os.name == "nt", reason="needs signals")


@pytest.fixture
def child():
    command = [sys.executable, "-P", "-c", CHILD.format(number=3)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        root = Path(segtrain.__file__).parents[1]
        pickle.dump([str(root), *sys.path], process.stdin)
        yield process
        process.kill()


def ask(child, function, piece):
    pickle.dump(pickle.dumps((function, piece)), child.stdin)
    child.stdin.flush()


def wait_for(file):
    limit = time.monotonic() + 30
    while not file.exists() and time.monotonic() < limit:
        time.sleep(0.01)


def test_it_answers_until_its_stdin_ends(child, tmp_path):
    for number in (2, 3):
        ask(child, pieces.square, Piece(number, tmp_path))
        assert taken(pickle.load(child.stdout)) == (child.pid, number**2)
    ask(child, pieces.numbered, Piece(0, tmp_path))
    assert taken(pickle.load(child.stdout)) == 3
    child.stdin.close()
    assert (child.wait(20), child.stderr.read()) == (0, b"")


def test_the_end_of_stdin_ends_a_piece_where_it_is(child, tmp_path):
    ask(child, pieces.orderly, Piece(0, tmp_path))
    wait_for(tmp_path / "0.begun")
    child.stdin.close()
    assert child.wait(10) == 143
    assert (tmp_path / "0.ended").exists()


@needs_kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_batch_system_may_ask_it_by_a_signal(child, tmp_path, number):
    ask(child, pieces.orderly, Piece(0, tmp_path))
    wait_for(tmp_path / "0.begun")
    child.send_signal(number)
    assert child.wait(10) == 128 + number
    assert (tmp_path / "0.ended").exists()


def test_long_work_ends_where_it_looks(child, tmp_path):
    ask(child, pieces.by_events, Piece(0, tmp_path))
    wait_for(tmp_path / "0.begun")
    child.stdin.close()
    assert child.wait(10) == 143
    assert (tmp_path / "0.saved").exists()


def test_what_asks_for_input_gets_none_of_the_questions(child, tmp_path):
    ask(child, pieces.curious, Piece(0, tmp_path))
    assert taken(pickle.load(child.stdout)) == ""


def test_a_piece_that_does_not_listen_ends_after_some_seconds(tmp_path):
    """Without the command, which is dead, nobody else would end it."""
    code = CHILD.replace("serve({number}", "import segtrain.execution.child as c; c.GRACE_SECONDS = 0.3; c.serve(0")
    command = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        pickle.dump([str(Path(segtrain.__file__).parents[1]), *sys.path], process.stdin)
        ask(process, pieces.stubborn_to_the_end, Piece(0, tmp_path))
        wait_for(tmp_path / "0.pid")
        process.stdin.close()
        assert process.wait(10) == 143


def test_this_process_has_no_number():
    assert module.slot() is None


def test_an_answer_is_what_was_returned_or_raised(tmp_path):
    assert taken(answer(pieces.square, Piece(3, tmp_path))) == (os.getpid(), 9)
    with pytest.raises(UnreadableScan) as error:
        taken(answer(pieces.unreadable, Piece(3, tmp_path)))
    assert error.value.problems == (Problem("damaged", "case 3", "it is cut short", "copy it again"),)
    with pytest.raises(MemoryError):
        answer(pieces.no_memory, Piece(0, tmp_path))


@pytest.mark.parametrize(
    ("code", "says"),
    [(77, "out of memory"), (1, "exit code 1"), (-11, "SIGSEGV"), (-9, "memory"), (-500, "signal 500")],
)
def test_an_exit_code_is_put_into_words(code, says):
    assert says in reason(code)
