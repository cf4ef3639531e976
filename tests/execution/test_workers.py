"""Pieces of work in processes: each done once, and a process that dies is told with its piece."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

import segtrain
from segtrain.core.errors import Problem, UnreadableScan
from segtrain.core.events import StillWorking
from segtrain.execution import workers
from segtrain.execution.workers import Died, Done, each, each_watched
from tests.execution import pieces
from tests.execution.pieces import Piece
from tests.faults.table import fault

needs_kill = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")


@pytest.fixture
def work(tmp_path) -> list[Piece]:
    return [Piece(number, tmp_path) for number in range(6)]


def results(outcomes) -> dict[int, object]:
    return {outcome.piece.number: outcome.result for outcome in outcomes if isinstance(outcome, Done)}


@pytest.fixture
def interruptible():
    """Ctrl-C means something, even where a shell started the tests in the background and so ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc/self").exists() else True


def gone(pids: list[int]) -> bool:
    """Whether all have ended within some seconds."""
    limit = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.01)
    return not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_piece_is_done_once(work, count):
    outcomes = list(each(pieces.square, work, count))
    assert sorted(outcome.piece.number for outcome in outcomes) == list(range(6))
    found = results(outcomes)
    assert [found[number][1] for number in range(6)] == [0, 1, 4, 9, 16, 25]
    used = {pid for pid, _ in found.values()}
    assert used == {os.getpid()} if count == 0 else os.getpid() not in used and len(used) <= count


@pytest.mark.parametrize("count", [0, 2])
def test_nothing_to_do_starts_nothing(count, monkeypatch):
    monkeypatch.setattr(workers.subprocess, "Popen", None)
    assert list(each(pieces.square, [], count)) == []


def test_no_more_pieces_are_in_work_than_there_are_workers(work):
    assert max(results(each(pieces.slowly, work, 2)).values()) <= 2


@needs_kill
@fault("F21", "a process that dies", then="told, tried once more alone, then named; the others are done")
def test_a_piece_that_kills_its_process_is_tried_twice_and_named_and_the_others_are_done(work):
    outcomes = list(each(pieces.killed_at_3, work, 2))
    assert sorted(results(outcomes)) == [0, 1, 2, 4, 5]
    first, second = (outcome for outcome in outcomes if isinstance(outcome, Died))
    assert (first.piece, first.again) == (second.piece, True) == (work[3], True)
    assert not second.again
    assert outcomes[-1] is second
    assert "SIGKILL" in second.why
    assert "memory" in second.why


@needs_kill
def test_a_second_try_that_succeeds_is_done(work):
    outcomes = list(each(pieces.killed_at_3_once, work, 2))
    assert sorted(results(outcomes)) == list(range(6))
    (died,) = (outcome for outcome in outcomes if isinstance(outcome, Died))
    assert (died.piece, died.again) == (work[3], True)


@pytest.mark.parametrize(("function", "why"), [(pieces.no_memory, "out of memory"), (pieces.exits, "exit code 5")])
def test_an_end_without_an_answer_is_told(work, function, why):
    first, second = each(function, work[:1], 1)
    assert isinstance(first, Died)
    assert isinstance(second, Died)
    assert (first.again, second.again) == (True, False)
    assert why in second.why


def test_too_little_memory_in_this_process_costs_one_piece(work):
    outcomes = list(each(pieces.no_memory, work[:2], 0))
    assert [(o.piece.number, o.why, o.again) for o in outcomes] == [
        (0, "out of memory", False),
        (1, "out of memory", False),
    ]


@fault("F21", "a process that hangs", then="told after the limit: never a silent wait")
def test_a_process_that_hangs_is_ended(work):
    *_, last = each(pieces.endless, work[:1], 1, hang_seconds=1.5)
    assert isinstance(last, Died)
    assert "no answer" in last.why


def test_each_process_has_a_number(work):
    assert set(results(each(pieces.numbered, work, 2)).values()) == {0, 1}


@pytest.mark.parametrize("count", [0, 2])
def test_what_a_function_raises_comes_whole(work, count):
    with pytest.raises(UnreadableScan) as error:
        list(each(pieces.unreadable, work[3:4], count))
    assert error.value.problems == (Problem("damaged", "case 3", "it is cut short", "copy it again"),)


def test_an_error_that_cannot_travel_is_told_by_its_text(work):
    with pytest.raises(RuntimeError, match=r"in stubborn[\s\S]*Stubborn: one and two"):
        list(each(pieces.stubborn, work[:1], 1))


def test_what_is_printed_is_no_answer(work, capfd):
    assert results(each(pieces.talkative, work[:2], 1)) == {0: 0, 1: 1}
    assert "no answer" not in capfd.readouterr().out


@needs_kill
def test_closed_early_it_ends_its_processes(work, tmp_path, interruptible):
    outcomes = each(pieces.killed_at_3, work[:1], 2)
    next(outcomes)
    outcomes.close()
    endless = each(pieces.endless, work[:2], 2)

    def interrupt():
        while len(list(tmp_path.glob("*.pid"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        next(endless)
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    assert len(pids) == 2
    assert gone(pids)


@needs_kill
def test_broken_off_long_pieces_put_their_work_in_order(work, tmp_path):
    with closing(each_watched(pieces.orderly, work[:3], 2)) as outcomes:
        while len(list(tmp_path.glob("*.begun"))) < 2:
            assert isinstance(next(outcomes), StillWorking)
    assert {path.stem for path in tmp_path.glob("*.ended")} == {"0", "1"}


@needs_kill
def test_broken_off_long_pieces_save_their_work_where_they_look(work, tmp_path):
    with closing(each_watched(pieces.by_events, work[:3], 2)) as outcomes:
        while len(list(tmp_path.glob("*.begun"))) < 2:
            assert isinstance(next(outcomes), StillWorking)
    assert {path.stem for path in tmp_path.glob("*.saved")} == {"0", "1"}


@needs_kill
def test_a_process_that_does_not_end_when_it_is_asked_to_is_killed(work, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.3)
    with closing(each_watched(pieces.stubborn_to_the_end, work[:1], 1)) as outcomes:
        while not list(tmp_path.glob("*.pid")):
            next(outcomes)
    assert gone([int((tmp_path / "0.pid").read_text())])


@pytest.fixture
def command(tmp_path):
    """Begin a command that does something with pieces."""

    def begin(*lines: str) -> subprocess.Popen[bytes]:
        script = tmp_path / "script.py"
        heads = (
            "import os, sys, time",
            "from pathlib import Path",
            "from segtrain.execution.workers import each",
            "from tests.execution.pieces import Piece, endless, orderly, square",
        )
        script.write_text("\n".join((*heads, *lines)))
        environment = {**os.environ, "PYTHONPATH": str(Path(segtrain.__file__).parents[1])}
        return subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, env=environment)

    return begin


@needs_kill
@fault("F17", "killed while its processes are idle", then="they end, too")
def test_a_command_that_is_killed_takes_its_idle_processes_along(command):
    running = command(
        "outcomes = each(square, [Piece(1, Path()), Piece(2, Path())], 1)",
        "print(next(outcomes).result[0], flush=True)",
        "time.sleep(3600)",
    )
    pid = int(running.stdout.readline())
    assert is_alive(pid)
    running.kill()
    running.communicate()
    assert gone([pid])


@needs_kill
@fault("F17", "killed while its processes work", then="they leave their work in order, and end within seconds")
def test_a_command_that_is_killed_takes_its_working_processes_along(command, tmp_path):
    running = command("list(each(orderly, [Piece(n, Path(sys.argv[1])) for n in range(2)], 2))")
    while len(list(tmp_path.glob("*.begun"))) < 2:
        time.sleep(0.01)
    running.kill()
    running.communicate()
    limit = time.monotonic() + 10
    while len(list(tmp_path.glob("*.ended"))) < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    assert len(list(tmp_path.glob("*.ended"))) == 2


@needs_kill
def test_a_killed_commands_process_that_sleeps_is_woken_and_ends(command, tmp_path):
    running = command("list(each(endless, [Piece(0, Path(sys.argv[1]))], 1))")
    while not (tmp_path / "0.pid").exists():
        time.sleep(0.01)
    running.kill()
    running.communicate()
    assert gone([int((tmp_path / "0.pid").read_text())])


def test_a_script_without_a_guard_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom segtrain.execution.workers import each\n"
        "from tests.execution.pieces import Piece, square\nprint('begun')\n"
        "print([o.result[1] for o in each(square, [Piece(7, Path())], 1)])\n"
    )
    root = Path(segtrain.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["begun", "[49]"]
