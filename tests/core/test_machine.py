"""What a process may have, as the system tells it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from segtrain.core import machine

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads what only Linux tells")
GIB = 2**30


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A machine whose /proc and control groups are files in a folder."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
    write(proc__self__cgroup="4:memory:/old\n0::/user/job\n")
    return write


def limit(root, name, text, *, group=""):
    path = root / "groups" / group / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine_tells_what_it_has():
    assert 1 <= machine.usable_cores() <= os.cpu_count()
    assert machine.ram_bytes() > 0
    assert machine.processor()


def test_a_quota_of_a_group_above_limits_the_cores(told, tmp_path):
    limit(tmp_path, "cpu.max", "max 100000\n", group="user/job")
    assert machine.usable_cores() >= 1
    limit(tmp_path, "cpu.max", "50000 100000\n", group="user")
    assert machine.usable_cores() == 1


def test_the_smallest_limit_of_memory_counts(told, tmp_path):
    whole = machine.ram_bytes()
    limit(tmp_path, "memory.max", "max\n", group="user/job")
    assert machine.ram_bytes() == whole
    limit(tmp_path, "memory.max", f"{2**20}\n", group="user")
    assert machine.ram_bytes() == 2**20


def test_what_is_left_below_a_limit_can_be_had(told, tmp_path):
    told(proc__meminfo=f"MemTotal: 8388608 kB\nMemAvailable: {4 * GIB // 1024} kB\n")
    assert machine.available_ram_bytes() == 4 * GIB
    limit(tmp_path, "memory.max", f"{3 * GIB}\n", group="user/job")
    limit(tmp_path, "memory.current", f"{2 * GIB}\n", group="user/job")
    assert machine.available_ram_bytes() == GIB


def test_a_system_that_tells_nothing_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PROC", tmp_path / "nowhere")
    assert machine.available_ram_bytes() is None


@LINUX
def test_the_peak_holds_what_was_held():
    before = machine.peak_ram_bytes()
    held = np.ones(before // 8 + 8 * 2**20)  # more than the whole process had
    assert machine.peak_ram_bytes() >= held.nbytes
    del held
    assert machine.peak_ram_bytes() >= before


@LINUX
def test_the_peak_is_that_of_the_program_and_not_of_the_one_that_started_it():
    held = np.ones(40 * 2**20)
    code = "from segtrain.core.machine import peak_ram_bytes; print(peak_ram_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < held.nbytes


def test_a_folder_that_is_not_there_yet_has_the_room_of_the_one_it_will_lie_in(tmp_path):
    there = shutil.disk_usage(tmp_path).free
    assert machine.free_disk_bytes(tmp_path / "a" / "b") == pytest.approx(there, rel=0.1)


def test_what_a_program_says_or_nothing():
    assert machine.said_by(sys.executable, "-c", "print('hello')") == "hello"
    assert machine.said_by(sys.executable, "-c", "raise SystemExit(1)") == ""
    assert machine.said_by("no-such-program-anywhere") == ""


def test_files_that_a_group_keeps_cached_count_as_available(told, tmp_path):
    limit(tmp_path, "memory.max", f"{100 * 2**20}\n", group="user")
    limit(tmp_path, "memory.current", f"{90 * 2**20}\n", group="user")
    assert machine.available_ram_bytes() == 10 * 2**20
    limit(tmp_path, "memory.stat", f"anon 5\ninactive_file {60 * 2**20}\nactive_file 9\n", group="user")
    assert machine.available_ram_bytes() == 70 * 2**20
