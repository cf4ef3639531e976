"""F32: clocks, locales, homes and terminals, met by a command in its own process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segtrain.training import checkpoint
from tests.commands.conftest import Trained
from tests.commands.projects import done, files_in
from tests.faults.processes import afresh, can_mount, limited, mounted
from tests.faults.studies import contents
from tests.faults.table import fault

SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "a decimal comma": {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"},
    "the C locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "no HOME": {"HOME": None, "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None},
    "a HOME that is not there": {"HOME": "/nowhere", "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None},
    "a narrow terminal without colours": {"COLUMNS": "20", "NO_COLOR": "1", "TERM": "dumb"},
}


def scored(trained: Trained, out: Path) -> tuple[str | Path, ...]:
    masks = ("--predictions", trained.root / "labels", "--labels", trained.root / "labels", "--label", "organ=1")
    return ("eval", *masks, "--metric", "dice", "--metric", "hd95", "--out", out)


@pytest.mark.slow
@fault("F32", "a decimal comma, the C locale, time zones, no HOME, a narrow terminal", then="0, the same files")
@pytest.mark.parametrize("what", SURROUNDINGS)
def test_results_are_the_same_wherever_one_works(trained: Trained, tmp_path: Path, what: str) -> None:
    done(*scored(trained, tmp_path / "here"))
    other = afresh(*scored(trained, tmp_path / "there"), environment=SURROUNDINGS[what])
    assert other.code == 0, other.text
    assert other.in_words
    kept = [name for name in files_in(tmp_path / "here") if name.endswith((".csv", "metrics.json"))]
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert kept
    assert {name: here[name] for name in kept} == {name: there[name] for name in kept}


@pytest.mark.skipif(not can_mount(), reason="this process may not mount a file system")
@fault("F32", "a HOME that is read-only", then="0, nothing of it is needed")
def test_a_home_may_be_read_only(trained: Trained, tmp_path: Path) -> None:
    read_only = mounted("mount --bind $HOME $HOME; mount -o remount,ro,bind $HOME")
    told = limited(tmp_path, *scored(trained, tmp_path / "out"), before=read_only)
    assert told.code == 0, told.text


@fault("F32", "the clock jumps back while a run is broken off", then="0, it goes on; the scans are looked at again")
def test_a_run_from_the_future_goes_on(trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained.run, tmp_path / "run")
    for path in run.rglob("*"):
        os.utime(path, (4e9, 4e9))
    told = done("fit", "--config", trained.config, "--run", run, "--resume")
    assert "nothing is left to do" in told.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@fault("F32", "the terminal is closed while a fit trains (SIGHUP, and no place to write to)", then="143, a checkpoint")
def test_a_closed_terminal_costs_no_work(trained: Trained, tmp_path: Path) -> None:
    import pty

    run = tmp_path / "run"
    longer = ("training.epochs=50", "training.steps_per_epoch=200", "model.widths=[8, 16]")
    command = [sys.executable, "-m", "segtrain", "fit", "--config", str(trained.config), *longer, "--run", str(run)]
    main, child = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(
        ["setsid", "-w", "-c", *command], stdin=child, stdout=child, stderr=child, env=environment, close_fds=True
    )
    os.close(child)
    os.set_blocking(main, False)
    began = time.monotonic()
    while not (run / "log.jsonl").exists() or '"epoch"' not in (run / "log.jsonl").read_text():
        assert running.poll() is None
        assert time.monotonic() - began < 200
        try:
            os.read(main, 65536)
        except BlockingIOError:
            time.sleep(0.02)
    os.close(main)
    assert running.wait(120) == 143
    assert checkpoint.read_about(run / "checkpoints" / "last")["step"] >= 200
    assert not (run / ".lock").exists()
