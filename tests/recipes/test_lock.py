"""One process a folder, and nothing deleted that is not a dead process's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from segtrain.core.errors import ConfigError
from segtrain.recipes.lock import DEAD_SECONDS, LOCK, locked
from tests.faults.table import fault

HERE = socket.gethostname()


def names_in(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def dead():
    """The number of a process that is over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_names_its_process_and_goes_with_it(tmp_path):
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()} {HERE}"
    assert names_in(tmp_path) == []


def test_a_lock_goes_when_the_work_fails(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), locked(tmp_path):
        raise RuntimeError("mine")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("text", ["{dead} {here}", "", "nobody {here}"])
@fault("F19", "the lock of a process that is dead", then="0, it is taken over")
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, dead, text):
    (tmp_path / LOCK).write_text(text.format(dead=dead, here=HERE))
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(str(os.getpid()))


@pytest.mark.parametrize(
    "owner",
    [f"{os.getppid()} {HERE}", "17 another-machine", f"{os.getpid()} another-machine"],
    ids=["another of this machine", "of another machine", "of another machine with our number"],
)
def test_a_lock_that_may_be_held_is_left_and_named(tmp_path, owner):
    """Processes of two containers often have the same number."""
    (tmp_path / LOCK).write_text(owner)
    with pytest.raises(ConfigError, match=f"held by process {owner}"), locked(tmp_path):
        pass
    assert (tmp_path / LOCK).read_text() == owner


def test_only_half_written_files_of_dead_processes_are_deleted(tmp_path, dead):
    kept = [".foo.tmp", ".a.b.tmp", f"a.{dead}.tmp", f".plan.json.{os.getppid()}.tmp", f".x.{dead}.tmp.gz"]
    (tmp_path / f".folder.{dead}.tmp").mkdir()
    for name in (*kept, f".plan.json.{dead}.tmp", ".plan.json.99999999999999999999.tmp"):
        (tmp_path / name).write_text("half")
    with locked(tmp_path):
        pass
    assert names_in(tmp_path) == sorted([*kept, f".folder.{dead}.tmp"])


def test_the_lock_of_another_host_is_taken_over_when_it_has_long_been_still(tmp_path):
    lock = tmp_path / LOCK
    lock.write_text("17 another-machine")
    long_ago = time.time() - DEAD_SECONDS - 60
    os.utime(lock, (long_ago, long_ago))
    with locked(tmp_path):
        assert lock.read_text().startswith(str(os.getpid()))


def test_a_lock_that_is_held_is_touched(tmp_path, monkeypatch):
    monkeypatch.setattr("segtrain.recipes.lock.BEAT_SECONDS", 0.01)
    with locked(tmp_path):
        os.utime(tmp_path / LOCK, (0, 0))
        until = time.monotonic() + 20
        while (tmp_path / LOCK).stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert (tmp_path / LOCK).stat().st_mtime > 0


class TestOnACluster:
    """Where a process is told to be patient: the lock may be that of a former attempt, whose node was lost."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        monkeypatch.setattr("segtrain.recipes.lock.patience_seconds", lambda: 3.0)
        monkeypatch.setattr("segtrain.recipes.lock.STILL_SECONDS", 0.4)
        monkeypatch.setattr("segtrain.recipes.lock.LOOK_SECONDS", 0.01)

    def test_the_lock_of_another_host_that_stays_untouched_is_taken_over(self, tmp_path):
        (tmp_path / LOCK).write_text("17 another-machine")
        begun = time.monotonic()
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text() == f"{os.getpid()} {HERE}"
        assert 0.4 < time.monotonic() - begun < 3

    def test_even_where_the_clock_of_the_other_host_is_ahead(self, tmp_path):
        lock = tmp_path / LOCK
        lock.write_text("17 another-machine")
        os.utime(lock, (time.time() + 5000, time.time() + 5000))
        with locked(tmp_path):
            assert lock.read_text().startswith(str(os.getpid()))

    def test_a_lock_that_is_touched_is_left(self, tmp_path):
        lock = tmp_path / LOCK
        lock.write_text("17 another-machine")
        over = threading.Event()

        def touch():
            while not over.wait(0.05):
                os.utime(lock)

        thread = threading.Thread(target=touch)
        thread.start()
        with pytest.raises(ConfigError, match="another segtrain"), locked(tmp_path):
            pass
        over.set()
        thread.join()
        assert lock.read_text() == "17 another-machine"

    def test_a_process_that_ends_meanwhile_leaves_its_lock(self, tmp_path, monkeypatch):
        monkeypatch.setattr("segtrain.recipes.lock.STILL_SECONDS", 60.0)
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.3)"])
        (tmp_path / LOCK).write_text(f"{process.pid} {HERE}")
        threading.Thread(target=process.wait, daemon=True).start()
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text() == f"{os.getpid()} {HERE}"

    def test_a_lock_that_is_given_back_meanwhile_is_taken(self, tmp_path):
        (tmp_path / LOCK).write_text("17 another-machine")
        threading.Timer(0.1, (tmp_path / LOCK).unlink).start()
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text().startswith(str(os.getpid()))
