"""A run that is killed or interrupted at any moment ends, with `--resume`, at the same bits."""

from __future__ import annotations

import json
import random
import resource
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.commands.processes import Running, start
from tests.commands.projects import CONFIG, files_in, read, rows, study, unfinish, weights
from tests.faults.table import fault

LONGER = CONFIG.replace("epochs: 2, steps_per_epoch: 3", "epochs: 3, steps_per_epoch: 40")
LONGER += "evaluation: {metrics: [dice]}\n"
EPOCH, LAST_STEP = 40, 120
OTHERS = [getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]
"""Of a terminal that was closed, and of a batch system."""
SIGNALS = [
    (signal.SIGINT, 130),
    (signal.SIGTERM, 143),
    *(pytest.param(number, 143, marks=pytest.mark.slow) for number in OTHERS),
]
"""With the exit code of each; tests/cli/test_signals.py shows that the others are heeded as SIGTERM is."""
SOME_STEPS = 0.06
"""Seconds after an epoch's picture, its last file, when the next one is neither at its start nor at its end."""
TRIALS = [0, *(pytest.param(trial, marks=pytest.mark.slow) for trial in range(1, 16))]
"""Draws of the moments: one for every day, more of them by `make test-slow`."""


@dataclass(frozen=True)
class Whole:
    """A study, a run on it that nobody broke off, and one that stopped in the middle of an epoch."""

    config: Path
    run: Path
    stopped: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    root = tmp_path_factory.mktemp("killed")
    config = study(root, cases=3, config=LONGER)
    begun = fit(config, root / "whole")
    assert begun.ended() == 0, begun.said
    stopped = fit(config, root / "stopped")
    stopped.wait_until((root / "stopped" / "progress.png").exists)
    time.sleep(SOME_STEPS)
    stopped.send(signal.SIGINT)
    assert stopped.ended() == 130, stopped.said
    return Whole(config, root / "whole", root / "stopped")


def fit(config: Path, run: Path, *flags: str) -> Running:
    return start(run.with_suffix(".txt"), "fit", "--config", config, "--run", run, *flags)


def has_logged(run: Path, epochs: int) -> bool:
    log = run / "log.jsonl"
    return epochs == 0 or (log.exists() and log.read_text(encoding="utf-8").count('"event": "epoch"') >= epochs)


def assert_resumes_to_the_same(whole: Whole, run: Path) -> None:
    resumed = fit(whole.config, run, "--resume")
    assert resumed.ended() == 0, resumed.said
    assert_same(whole, run)


def assert_same(whole: Whole, run: Path) -> None:
    assert weights(run) == weights(whole.run)
    assert weights(run, "best") == weights(whole.run, "best")
    assert without_seconds(run) == without_seconds(whole.run)
    for name in ("cases.csv", "metrics.json"):
        assert (run / "validation" / name).read_bytes() == (whole.run / "validation" / name).read_bytes()
    assert made_in(run) == made_in(whole.run)


def made_in(run: Path) -> list[str]:
    """Every file, but for the hashes of scans: they are remembered only where the scans are a minute old."""
    return [name for name in files_in(run) if Path(name).parent != Path("prepared", "sources")]


def without_seconds(run: Path) -> list[dict[str, str]]:
    metered = ("seconds", "validation_seconds", "peak_memory_mib")
    return [{key: value for key, value in row.items() if key not in metered} for row in rows(run / "metrics.csv")]


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "when the plan was made": lambda run: (run / "plan.json").exists(),
    "when the first case was prepared": lambda run: any(run.glob("prepared/*.safetensors")),
    "while the first checkpoint is written": lambda run: (run / "checkpoints" / "best.new").exists(),
    "when metrics.csv appeared": lambda run: (run / "metrics.csv").exists(),
    "while the last scores are written": lambda run: (run / "validation" / "predictions").exists(),
}


@pytest.mark.parametrize("moment", MOMENTS)
@fault("F17", "killed at five moments of a fit", then="kept: resumed to equal bits")
def test_killed_at_a_moment(whole: Whole, tmp_path: Path, moment: str) -> None:
    run = tmp_path / "run"
    assert fit(whole.config, run).kill_when(lambda: MOMENTS[moment](run)) == -signal.SIGKILL
    assert_resumes_to_the_same(whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["when the first case was prepared", "while the first checkpoint is written"])
@fault("F17", "killed with two processes that prepare", then="kept: resumed to equal bits")
def test_killed_with_two_processes_that_prepare(whole: Whole, tmp_path: Path, moment: str) -> None:
    run, two = tmp_path / "run", "data.workers=2"
    assert fit(whole.config, run, two).kill_when(lambda: MOMENTS[moment](run)) == -signal.SIGKILL
    resumed = fit(whole.config, run, two, "--resume")
    assert resumed.ended() == 0, resumed.said
    assert_same(whole, run)


@pytest.mark.parametrize("trial", TRIALS)
@fault("F17", "killed four times at random moments", then="kept: resumed to equal bits")
def test_killed_again_and_again_at_random_moments(whole: Whole, tmp_path: Path, trial: int) -> None:
    run = tmp_path / "run"
    delays = [random.Random(4 * trial + number).uniform(0.0, 0.2) for number in range(4)]
    for epochs, delay in zip((0, 1, 1, 2), delays, strict=True):
        running = fit(whole.config, run, *(["--resume"] if run.exists() else []))
        running.wait_until((run / "plan.json").exists)
        assert running.kill_when(partial(has_logged, run, epochs), delay) == -signal.SIGKILL
    assert_resumes_to_the_same(whole, run)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
@fault(
    "F20",
    "SIGINT, SIGTERM, SIGHUP, SIGUSR1 in an epoch",
    then="130/143, a checkpoint, how to go on; equal bits",
)
def test_a_signal_saves_the_epoch_and_says_how_to_go_on(whole: Whole, tmp_path: Path, number: int, code: int) -> None:
    run = tmp_path / "run"
    running = fit(whole.config, run)
    running.wait_until((run / "progress.png").exists)
    time.sleep(SOME_STEPS)
    running.send(number)
    assert running.ended() == code, running.said
    step = read(run / "checkpoints" / "last" / "checkpoint.json")["step"]
    assert 0 < step < LAST_STEP
    assert step % EPOCH, "the signal came at an epoch's end"
    assert json.loads((run / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])["event"] == "interrupted"
    assert "Traceback" not in running.said
    assert "stopping as soon as the work can be saved" in running.said
    command = shlex.split(running.said.partition("go on with: ")[2].splitlines()[0])
    resumed = start(tmp_path / "resumed.txt", *command[1:])
    assert resumed.ended() == 0, resumed.said
    assert f"going on after epoch {step // EPOCH} of 3" in resumed.said
    assert_same(whole, run)


@fault("F20", "SIGTERM before anything is trained", then="143, it begins anew")
def test_a_signal_before_training_needs_no_checkpoint(whole: Whole, tmp_path: Path) -> None:
    run = tmp_path / "run"
    running = fit(whole.config, run)
    running.wait_until((run / "config.yaml").exists)
    running.send(signal.SIGTERM)
    assert running.ended() == 143, running.said
    assert_resumes_to_the_same(whole, run)


@fault("F19", "a second process in a run folder", then="2, `another segtrain writes to this folder`")
def test_a_second_process_is_kept_out_of_a_run(whole: Whole, tmp_path: Path) -> None:
    run = tmp_path / "run"
    running = fit(whole.config, run)
    running.wait_until((run / "plan.json").exists)
    second = start(tmp_path / "second.txt", "fit", "--config", whole.config, "--run", run, "--resume")
    assert second.ended() == 2
    assert "another segtrain writes to this folder" in second.said
    assert running.ended() == 0, running.said
    assert_same(whole, run)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
@fault("F16", "a disk that is full at a checkpoint", then="4, the checkpoint before is whole; goes on with --resume")
def test_a_disk_that_fills_up_leaves_the_checkpoint_before(whole: Whole, tmp_path: Path) -> None:
    run = tmp_path / "run"
    running = fit(whole.config, run)
    running.wait_until(lambda: has_logged(run, 1))
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))  # its optimiser's state has more
    assert running.ended() == 4, running.said
    assert "cannot write" in running.said
    assert "free some space" in running.said
    assert read(run / "checkpoints" / "last" / "checkpoint.json")["step"] == EPOCH
    assert_resumes_to_the_same(whole, run)


class TestKilledWhileACheckpointWasReplaced:
    """`last` as a kill leaves it between one file or rename and the next; it held half an epoch."""

    @pytest.fixture
    def run(self, whole: Whole, tmp_path: Path) -> Path:
        return shutil.copytree(whole.stopped, tmp_path / "run")

    def test_the_next_one_was_half_written(self, whole: Whole, run: Path) -> None:
        last = run / "checkpoints" / "last"
        half(shutil.copytree(last, last.with_name("last.new")))
        assert_resumes_to_the_same(whole, run)

    def test_the_previous_one_was_put_aside_and_the_next_is_whole(self, whole: Whole, run: Path) -> None:
        last = run / "checkpoints" / "last"
        shutil.copytree(last, last.with_name("last.new"))
        last.rename(last.with_name("last.old"))
        assert_resumes_to_the_same(whole, run)

    def test_the_previous_one_was_put_aside_and_the_next_is_half_written(self, whole: Whole, run: Path) -> None:
        last = run / "checkpoints" / "last"
        half(shutil.copytree(last, last.with_name("last.new")))
        last.rename(last.with_name("last.old"))
        assert_resumes_to_the_same(whole, run)

    def test_the_best_one_was_put_aside(self, whole: Whole, run: Path) -> None:
        best = run / "checkpoints" / "best"
        best.rename(best.with_name("best.old"))
        assert_resumes_to_the_same(whole, run)


def test_killed_after_the_last_checkpoint_and_before_its_row(whole: Whole, tmp_path: Path) -> None:
    run = shutil.copytree(whole.run, tmp_path / "run")
    unfinish(run)
    lines = (run / "metrics.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    assert_resumes_to_the_same(whole, run)


@pytest.mark.slow
def test_a_sweep_that_was_killed_is_finished_with_the_same_table(whole: Whole, tmp_path: Path) -> None:
    def sweep(run: Path, *flags: str) -> Running:
        settings = ("training.epochs=1", "training.steps_per_epoch=4")
        return start(
            run.with_suffix(".txt"), "compare-losses", "--config", whole.config, *settings, "--run", run, *flags
        )

    uninterrupted = sweep(tmp_path / "whole")
    third = tmp_path / "cut" / "runs" / "dice_ce" / "1" / "0"
    assert sweep(tmp_path / "cut").kill_when((third / "checkpoints").exists) == -signal.SIGKILL
    resumed = sweep(tmp_path / "cut", "--resume")
    assert (resumed.ended(), uninterrupted.ended()) == (0, 0), resumed.said
    for name in ("claims.csv", "ranking.csv", "pairwise.csv", "summary.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def half(checkpoint: Path) -> None:
    """Only half of the first file was written."""
    model = checkpoint / "model.safetensors"
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    (checkpoint / "state.safetensors").unlink()
    (checkpoint / "checkpoint.json").unlink()
