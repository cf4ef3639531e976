"""A sweep in two processes that is ended from outside: no process stays, and no step is lost that could be saved."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from segtrain.training import checkpoint
from tests.commands.processes import Running, start
from tests.commands.projects import CONFIG, study, weights
from tests.faults.table import fault

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="needs signals")]

PATIENCE = 300.0
STEPS, SOME = 40, 4
SWEPT = CONFIG.partition("compare:")[0].replace("epochs: 2, steps_per_epoch: 3", f"epochs: 1, steps_per_epoch: {STEPS}")
SWEPT += """\
compare:
  losses: [{name: 'mine.py:Marked', label: one}, {name: 'mine.py:Marked', label: two}]
  folds: 2
  seeds: [0]
  baseline: one
"""
MARKED = f"""\
import os, time
from pathlib import Path
import torch
from segtrain.execution.child import slot

class Marked(torch.nn.Module):
    '''Tells who has done some steps in a process of a sweep, and waits for the other one to have done as many.'''

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, target):
        self.calls += 1
        if self.calls == {SOME} and slot() is not None:
            Path(__file__).with_name(f"{{os.getpid()}}.steps").touch()
            while len(list(Path(__file__).parent.glob("*.steps"))) < 2:
                time.sleep(0.01)
        return torch.nn.functional.cross_entropy(logits, target.long())
"""
RUNS = [f"runs/{loss}/{fold}/0" for fold in (0, 1) for loss in ("one", "two")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    study(tmp_path, config=SWEPT)
    (tmp_path / "mine.py").write_text(MARKED, encoding="utf-8")
    return tmp_path


def sweep(root: Path, name: str, *more: str) -> Running:
    given = ("--config", root / "config.yaml", "--run", root / name, "--device", "cpu", *more)
    return start(root / f"{name}.txt", "compare-losses", *given)


def pids(root: Path) -> list[int]:
    return [int(path.stem) for path in root.glob("*.steps")]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@fault("F20", "SIGTERM to a sweep in two processes, in an epoch", then="143, both save where they are; equal bits")
def test_both_runs_are_saved_in_the_middle_of_their_epoch_and_end_with_equal_bits(root: Path) -> None:
    assert sweep(root, "whole").ended(PATIENCE) == 0
    running = sweep(root, "cut", "--workers", "2")
    running.wait_until(lambda: len(pids(root)) == 2)
    running.send(signal.SIGTERM)
    assert running.ended(PATIENCE) == 143, running.said
    for run in RUNS[:2]:
        about = checkpoint.read_about(root / "cut" / run / "checkpoints" / "last")
        assert SOME <= about["step"] < STEPS
        assert not (root / "cut" / run / ".lock").exists()
    assert sweep(root, "cut", "--workers", "2", "--resume").ended(PATIENCE) == 0
    for run in RUNS:
        assert weights(root / "cut" / run) == weights(root / "whole" / run), run


@fault("F17", "SIGKILL to a sweep in two processes", then="they end by themselves, and the sweep goes on")
def test_a_sweep_that_is_killed_leaves_no_process_and_can_go_on(root: Path) -> None:
    running = sweep(root, "cut", "--workers", "2")
    running.wait_until(lambda: len(pids(root)) == 2)
    running.send(signal.SIGKILL)
    assert running.ended(PATIENCE) == -signal.SIGKILL
    limit = time.monotonic() + 20
    while any(map(is_alive, pids(root))) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(map(is_alive, pids(root)))
    again = sweep(root, "cut", "--workers", "2", "--resume")
    assert again.ended(PATIENCE) == 0, again.said
