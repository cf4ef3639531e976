"""One process a folder, and nothing deleted that is not a dead process's own."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import segtrain
from segtrain.core.errors import ConfigError
from segtrain.recipes.lock import BEGUN_SECONDS, DEAD_SECONDS, LOCK, locked
from tests.faults.table import fault
from tests.recipes.projects import result_of

HERE = socket.gethostname()


def names_in(folder):
    return sorted(p.name for p in folder.iterdir())


IN_AND_OUT = """\
import os, random, socket, sys, time
from pathlib import Path
from segtrain.core.errors import ConfigError
from segtrain.recipes.lock import LOCK, locked

folder, entered, both, until = Path(sys.argv[1]), 0, 0, time.monotonic() + 1.5
inside, other = folder / "inside", folder / f"lock of {os.getpid()}"
if sys.argv[2] == "none":
    def link(source, target): raise OSError("not supported")
    os.link = link
while time.monotonic() < until:
    try:
        with locked(folder):
            entered += 1
            try:
                inside.touch(exist_ok=False)
            except FileExistsError:
                both += 1
                continue
            time.sleep(random.random() / 1000)
            inside.unlink()
            other.write_text(f"99999999 {socket.gethostname()} {entered}")  # as if this one had died
            other.replace(folder / LOCK)
    except ConfigError:
        time.sleep(random.random() / 1000)
print(entered, both)
"""


def age(file, seconds, content=None):
    """Make it look as if it was last touched so long ago."""
    if content is not None:
        file.write_text(content)
    then = time.time() - seconds
    os.utime(file, (then, then))


@pytest.fixture
def dead():
    """The number of a process that is over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_names_its_process_and_goes_with_it(tmp_path):
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().split()[:2] == [str(os.getpid()), HERE]
    assert names_in(tmp_path) == []


def test_a_lock_goes_when_the_work_fails(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), locked(tmp_path):
        raise RuntimeError("mine")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("text", ["{dead} {here}", "", "nobody {here}"])
@fault("F19", "the lock of a process that is dead", then="0, it is taken over")
def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, dead, text):
    (tmp_path / LOCK).write_text(text.format(dead=dead, here=HERE))
    age(tmp_path / LOCK, BEGUN_SECONDS + 1)
    with locked(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(str(os.getpid()))
    assert names_in(tmp_path) == []


def test_an_empty_lock_that_is_new_is_being_written(tmp_path):
    (tmp_path / LOCK).touch()
    with pytest.raises(ConfigError, match="another segtrain"), locked(tmp_path):
        pass


def test_a_process_keeps_itself_out_but_not_the_process_that_had_its_number_before(tmp_path):
    """In a container the first process always has the same number."""
    (tmp_path / LOCK).write_text(f"{os.getpid()} {HERE} before")
    with locked(tmp_path), pytest.raises(ConfigError, match=f"held by process {os.getpid()} {HERE}"), locked(tmp_path):
        pass
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_no_two_processes_are_inside_at_once_though_dead_locks_lie_in_their_way(tmp_path, links):
    (folder := tmp_path / "run").mkdir()
    script = tmp_path / "script.py"
    script.write_text(IN_AND_OUT)
    environment = {**os.environ, "PYTHONPATH": str(Path(segtrain.__file__).parents[1])}
    command = [sys.executable, script, folder, "links" if links else "none"]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[0].split() for process in running]
    assert [both for _, both in told] == ["0", "0"]
    assert all(int(entered) > 0 for entered, _ in told)


def test_where_a_drive_knows_no_links_a_lock_is_held_all_the_same(tmp_path, monkeypatch):
    def refused(source, target):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "link", refused)
    with locked(tmp_path):
        assert names_in(tmp_path) == [LOCK]
        assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} {HERE} ")
        with pytest.raises(ConfigError, match="another segtrain"), locked(tmp_path):
            pass
    assert names_in(tmp_path) == []


class TestTakenOver:
    """By a process of another host, while this one was stopped for long."""

    @pytest.fixture
    def lock(self, tmp_path, monkeypatch):
        monkeypatch.setattr("segtrain.recipes.lock.BEAT_SECONDS", 0.01)
        return tmp_path / LOCK

    def work(self, lock, told):
        try:
            yield "begun"
            age(lock, 100, "17 another-machine")
            time.sleep(0.3)
            yield "taken over"
            yield "goes on"
        except GeneratorExit:
            told.append("saved")
            raise
        except ConfigError as error:
            told.append(str(error))
            raise

    def test_the_work_ends_at_its_next_event_and_saves_nothing_and_the_lock_is_that_of_the_other(self, lock, tmp_path):
        told, seen = [], []
        with pytest.raises(ConfigError, match="took this folder over"), locked(tmp_path) as held:
            seen.extend(event for event in held.guarded(self.work(lock, told)))
        assert "took this folder over" in told[0]
        assert len(told) == 1
        assert lock.read_text() == "17 another-machine"
        assert time.time() - lock.stat().st_mtime > 50  # nobody touched it

    def test_broken_off_it_saves_nothing_either(self, lock, tmp_path):
        told = []
        with locked(tmp_path) as held:
            events = held.guarded(self.work(lock, told))
            assert [next(events), next(events)] == ["begun", "taken over"]
            with pytest.raises(ConfigError, match="took this folder over"):
                events.close()
        assert "saved" not in told

    def test_work_that_keeps_its_lock_returns_what_it_found(self, tmp_path):
        def found():
            yield "event"
            return 7

        with locked(tmp_path) as held:
            assert result_of(held.guarded(found())) == 7


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
            assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} {HERE}")
        assert time.monotonic() - begun > 0.4

    def test_even_where_the_clock_of_the_other_host_is_ahead(self, tmp_path):
        lock = tmp_path / LOCK
        lock.write_text("17 another-machine")
        os.utime(lock, (time.time() + 5000, time.time() + 5000))
        with locked(tmp_path):
            assert lock.read_text().startswith(str(os.getpid()))

    def test_a_lock_that_is_touched_is_left(self, tmp_path, monkeypatch):
        monkeypatch.setattr("segtrain.recipes.lock.STILL_SECONDS", 2.0)  # a busy machine may touch it late
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
            assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} {HERE}")

    def test_a_lock_that_is_given_back_meanwhile_is_taken(self, tmp_path):
        (tmp_path / LOCK).write_text("17 another-machine")
        threading.Timer(0.1, (tmp_path / LOCK).unlink).start()
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text().startswith(str(os.getpid()))
