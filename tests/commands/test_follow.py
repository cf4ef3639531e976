"""A fit in several processes is the fit of one: same batches, same losses, same files, one voice, one end."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed as dist
from safetensors.numpy import load_file

from segtrain.training import checkpoint
from tests.commands.processes import Running, start
from tests.commands.projects import CONFIG, assert_untouched, files_in, read, rows, study
from tests.commands.ranks import Group, start_ranks

pytestmark = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="torch without gloo")

EPOCH, LAST_STEP = 20, 60
TRAINING = "training: {epochs: 3, steps_per_epoch: 20, batch_size: 4, learning_rate: 1e-2, validation_share: 0.25"
LONGER = CONFIG.replace(CONFIG.splitlines()[3], TRAINING + ", folds: 2}") + "evaluation: {metrics: [dice]}\n"
ONE_EPOCH = ("training.epochs=1", "training.steps_per_epoch=4")

NEAR = 1e-3
"""Sums in another order differ in their last bits, which 60 steps make larger."""

BREAKS = """\
import os
from torch import nn

class Breaks(nn.Module):
    '''Sound on the cube of the self-test, no number on a training patch of the second rank.'''

    def forward(self, logits, target, mask=None):
        spoilt = os.environ.get("RANK") == "1" and logits[0, 0].numel() == 1024
        return logits.square().mean() * (float("nan") if spoilt else 1.0)
"""


def alone(config: Path, run: Path, *flags: str) -> Running:
    return start(run.with_suffix(".txt"), "fit", "--config", config, "--run", run, *flags)


def together(config: Path, run: Path, *flags: str, count: int = 2) -> Group:
    return start_ranks(count, run.with_suffix(".txt"), "fit", "--config", config, "--run", run, *flags)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ranks")
    return study(root, cases=4, config=LONGER)


@pytest.fixture(scope="module")
def whole(config: Path) -> Path:
    """What one process makes of it."""
    run = config.parent / "whole"
    done = alone(config, run)
    assert done.ended() == 0, done.said
    return run


def assert_same_training(one: Path, other: Path) -> None:
    """Up to the last bits of sums."""
    for mine, theirs in zip(rows(one / "metrics.csv"), rows(other / "metrics.csv"), strict=True):
        for key in ("epoch", "step", "train_loss", "learning_rate", "skipped_steps", "dice"):
            assert float(mine[key]) == pytest.approx(float(theirs[key]), rel=NEAR, abs=NEAR), key
    mine, theirs = (load_file(run / "checkpoints" / "last" / "model.safetensors") for run in (one, other))
    assert mine.keys() == theirs.keys()
    for name, values in mine.items():
        assert values == pytest.approx(theirs[name], rel=NEAR, abs=NEAR), name
    assert results_in(one) == results_in(other)


def results_in(run: Path) -> list[str]:
    """All files but those of prepared scans."""
    return [name for name in files_in(run) if not name.startswith("prepared")]


def test_two_ranks_with_half_a_batch_each_train_as_one_process_does(config: Path, whole: Path, tmp_path: Path) -> None:
    group = together(config, tmp_path / "run")
    assert group.ended() == [0, 0], group.said
    assert_same_training(tmp_path / "run", whole)
    assert read(tmp_path / "run" / "run.json")["ranks"] == 2
    first, second = group.processes
    assert "epoch 3/3" in first.said
    assert "report.html" in first.said
    assert second.said == ""


def test_a_rank_without_a_case_to_validate_is_not_waited_for(whole: Path) -> None:
    """Only one case is held out, so that the second rank of these tests never has one."""
    assert len(read(whole / "splits.json")["folds"][0]["validation"]) == 1


@pytest.mark.parametrize(
    "loss",
    [
        "{name: tversky, reduce_over: batch}",
        pytest.param("{name: dice_ce, reduce_over: flat}", marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_pools_over_the_batch_pools_over_all_ranks(config: Path, tmp_path: Path, loss: str) -> None:
    flags = (f"loss={loss}", *ONE_EPOCH)
    one, two = alone(config, tmp_path / "one", *flags), together(config, tmp_path / "two", *flags)
    assert (one.ended(), two.ended()) == (0, [0, 0]), two.said
    assert_same_training(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_with_a_running_average_parts_and_maps(config: Path, tmp_path: Path) -> None:
    flags = ("training.ema_decay=0.9", "training.accumulation=2", "loss=dice_boundary", *ONE_EPOCH)
    one, two = alone(config, tmp_path / "one", *flags), together(config, tmp_path / "two", *flags)
    assert (one.ended(), two.ended()) == (0, [0, 0]), two.said
    assert_same_training(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_every_fold(config: Path, tmp_path: Path) -> None:
    group = together(config, tmp_path / "run", "--fold", "all", *ONE_EPOCH)
    assert group.ended() == [0, 0], group.said
    assert [read(tmp_path / "run" / f"fold_{k}" / "validation" / "metrics.json")["cases"] for k in (0, 1)] == [2, 2]


@pytest.mark.slow
def test_a_budget_is_the_same_number_of_steps_for_all(config: Path, tmp_path: Path) -> None:
    group = together(config, tmp_path / "run", "training.budget_minutes=0.002", "training.epochs=1")
    assert group.ended() == [0, 0], group.said
    record = read(tmp_path / "run" / "run.json")
    assert rows(tmp_path / "run" / "metrics.csv")[-1]["step"] == str(record["total_steps"])


class TestFaults:
    """All ranks end with the code of the fault, which is told once."""

    def told_once(self, group: Group, code: int, *words: str) -> str:
        assert group.ended() == [code] * len(group.processes), group.said
        assert group.said.count("error: ") == 1, group.said
        assert "Traceback" not in group.said
        for word in words:
            assert word in group.said
        return group.said

    def test_a_batch_that_cannot_be_shared(self, config: Path, tmp_path: Path) -> None:
        group = together(config, tmp_path / "run", "training.batch_size=3")
        self.told_once(group, 2, "a batch of 3 cannot be shared equally by 2 processes", "training.batch_size=4")
        assert_untouched(tmp_path / "run")

    @pytest.mark.slow
    def test_a_wrong_key(self, config: Path, tmp_path: Path) -> None:
        self.told_once(together(config, tmp_path / "run", "training.epoch=3"), 2, "training.epoch")

    @pytest.mark.slow
    def test_a_scan_that_cannot_be_read(self, tmp_path: Path) -> None:
        config = study(tmp_path, cases=4, config=LONGER)
        (tmp_path / "images" / "P1.nii.gz").write_bytes(b"no scan")
        self.told_once(together(config, tmp_path / "run"), 3, "P1")

    def test_a_loss_that_diverges_on_one_rank_names_the_cases_of_all(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(BREAKS, encoding="utf-8")
        text = LONGER.replace("[8, 8, 8]", "[16, 8, 8]") + "loss: {name: 'mine.py:Breaks'}\n"
        group = together(study(tmp_path, cases=4, config=text), tmp_path / "run")
        assert group.ended() == [5, 5], group.said
        assert group.said.count("the loss is nan at step 1 of 60") == 1
        where = next(line for line in group.said.splitlines() if "where: cases" in line)
        assert len(where.split(",")) == 4

    @pytest.mark.slow
    def test_a_rank_that_cannot_write_what_it_scored(self, config: Path, tmp_path: Path) -> None:
        """The masks of the second rank lie where a file is in the way."""
        group = together(config, tmp_path / "run", *ONE_EPOCH)
        group.first.wait_until((tmp_path / "run" / "plan.json").exists)
        (tmp_path / "run" / "validation").write_bytes(b"")
        assert set(group.ended()) == {4}, group.said

    def test_another_command(self, config: Path, tmp_path: Path) -> None:
        group = start_ranks(2, tmp_path / "told", "compare-losses", "--config", config, "--run", tmp_path / "run")
        self.told_once(group, 2, "compare-losses works in one process", "without torchrun")
        assert not (tmp_path / "run").exists()


class TestBrokenOff:
    @pytest.fixture
    def running(self, config: Path, tmp_path: Path) -> Group:
        group = together(config, tmp_path / "run")
        group.first.wait_until((tmp_path / "run" / "metrics.csv").exists)
        return group

    def assert_goes_on(self, config: Path, run: Path, whole: Path) -> None:
        resumed = alone(config, run, "--resume")
        assert resumed.ended() == 0, resumed.said
        assert_same_training(run, whole)

    @pytest.mark.parametrize(
        ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
    )
    def test_by_a_signal_to_all(
        self, running: Group, config: Path, whole: Path, tmp_path: Path, number: int, code: int
    ) -> None:
        for process in running.processes * 2:  # twice: by the batch system, and handed on by torchrun
            process.send(number)
        assert running.ended() == [code, code], running.said
        last = tmp_path / "run" / "checkpoints" / "last"
        assert read(last / "checkpoint.json")["step"] < LAST_STEP
        assert running.said.count("error: ") == 1
        assert "go on with: the same command with --resume" in running.first.said
        self.assert_goes_on(config, tmp_path / "run", whole)

    @pytest.mark.slow
    def test_by_a_signal_to_one(self, running: Group, tmp_path: Path) -> None:
        running.processes[1].send(signal.SIGTERM)
        assert running.ended() == [143, 143], running.said
        assert running.said.count("error: ") == 1
        last = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        step = read(tmp_path / "run" / "checkpoints" / "last" / "checkpoint.json")["step"]
        assert json.loads(last).get("step") == step

    @pytest.mark.parametrize("killed", [1, pytest.param(0, marks=pytest.mark.slow)])
    def test_by_the_death_of_one(self, running: Group, config: Path, whole: Path, tmp_path: Path, killed: int) -> None:
        running.processes[killed].send(signal.SIGKILL)
        codes = running.ended()
        assert codes[killed] == -signal.SIGKILL
        assert codes[1 - killed] == 4, running.said
        assert "another process of this training is gone" in running.said
        assert checkpoint.find(tmp_path / "run" / "checkpoints" / "last") is not None
        self.assert_goes_on(config, tmp_path / "run", whole)

    def test_what_one_process_began_two_go_on_with(self, config: Path, whole: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        begun = alone(config, run)
        begun.wait_until((run / "metrics.csv").exists)
        begun.send(signal.SIGTERM)
        assert begun.ended() == 143, begun.said
        group = together(config, run, "--resume")
        assert group.ended() == [0, 0], group.said
        assert_same_training(run, whole)

    @pytest.mark.slow
    def test_a_finished_run_has_nothing_left_to_do(self, config: Path, whole: Path, tmp_path: Path) -> None:
        run = shutil.copytree(whole, tmp_path / "run")
        group = together(config, run, "--resume")
        assert group.ended() == [0, 0], group.said
        assert "finished before" in group.first.said


SCRIPT = """\
import os
from segtrain import fit

told = fit({config!r}, {run!r}, overrides={overrides!r}, device="cpu")
print(os.environ["RANK"], sorted(told), flush=True)
"""


@pytest.mark.slow
def test_a_script_that_torchrun_starts(config: Path, whole: Path, tmp_path: Path) -> None:
    script, run = tmp_path / "script.py", tmp_path / "run"
    script.write_text(SCRIPT.format(config=str(config), run=str(run), overrides=[]), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(line[:1] for line in done.stdout.splitlines()) == ["0", "1"]
    assert "metrics" in next(line for line in done.stdout.splitlines() if line[0] == "0")
    assert_same_training(run, whole)


@pytest.mark.slow
def test_torchrun_is_told_to_stop(config: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "--", "segtrain", "fit"]
    flags = ["--config", str(config), "--run", str(run), "training.steps_per_epoch=400"]
    with (tmp_path / "told.txt").open("w") as told:
        running = subprocess.Popen([*command, *flags], stderr=told)
    begun = time.monotonic()
    while not (run / "progress.png").exists() and time.monotonic() - begun < 100:
        time.sleep(0.05)
    time.sleep(1)
    running.send_signal(signal.SIGTERM)
    running.wait(60)
    said = (tmp_path / "told.txt").read_text(encoding="utf-8")
    assert said.count("go on with: the same command with --resume") == 1
    assert read(run / "checkpoints" / "last" / "checkpoint.json")["step"] % 400
