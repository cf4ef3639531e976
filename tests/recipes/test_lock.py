"""One process a folder, and nothing deleted that is not a dead process's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from segtrain.core.errors import ConfigError
from segtrain.recipes.lock import DEAD_SECONDS, LOCK, locked

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
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, dead, text):
    (tmp_path / LOCK).write_text(text.format(dead=dead, here=HERE))
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(str(os.getpid()))


@pytest.mark.parametrize("host", [HERE, "another-machine"])
def test_a_lock_that_may_be_held_is_left_and_named(tmp_path, host):
    owner = f"{os.getppid()} {host}"
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
