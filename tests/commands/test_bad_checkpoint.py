"""A run from somebody else, or from a bad disk: nothing of it is executed, and nothing is predicted with it."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import Trained
from tests.commands.projects import CONFIG, done, files_in, read, refused, study, truncate, unfinish
from tests.faults.table import fault


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    """The trained run, to be spoiled."""
    return shutil.copytree(trained.run, tmp_path / "run")


def refusal(trained: Trained, run: Path) -> dict[str, str]:
    """Why the run is not used."""
    out = run.parent / "out"
    problem = refused("eval", "--run", run, "--images", trained.root / "images", "--out", out, code=6)[0]
    assert not out.exists()
    return problem


@fault("F12", "a flipped bit in the weights", then="6, `sha256 is not the recorded one`")
def test_a_flipped_bit(trained: Trained, run: Path) -> None:
    for name in ("best", "last"):
        model = run / "checkpoints" / name / "model.safetensors"
        data = bytearray(model.read_bytes())
        data[-7] ^= 4
        model.write_bytes(data)
    problem = refusal(trained, run)
    assert "damaged" in problem["what"]
    assert problem["where"] == str(run / "checkpoints" / "best" / "model.safetensors")
    assert "sha256" in problem["why"]


@fault("F12", "half of a checkpoint", then="6, the file is named")
def test_half_a_file(trained: Trained, run: Path) -> None:
    truncate(run / "checkpoints" / "best" / "state.safetensors", lambda n: n // 2)
    assert "damaged" in refusal(trained, run)["what"]


@fault("F12", "a pickle under the name of the weights, with the right hash", then="6, nothing of it runs")
def test_a_pickle_with_the_right_hash_is_not_opened(trained: Trained, run: Path) -> None:
    canary = run.parent / "canary"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (canary,)

    best = run / "checkpoints" / "best"
    evil = pickle.dumps(Evil())
    (best / "model.safetensors").write_bytes(evil)
    about = read(best / "checkpoint.json")
    about["sha256"]["model.safetensors"] = hashlib.sha256(evil).hexdigest()
    (best / "checkpoint.json").write_text(json.dumps(about))
    assert "cannot be read" in refusal(trained, run)["what"]
    assert not canary.exists()


@fault("F12", "weights of another network", then="6, what the network needs")
def test_weights_of_another_network(trained: Trained, run: Path) -> None:
    best = run / "checkpoints" / "best" / "checkpoint.json"
    about = read(best)
    about["plan"]["widths"] = [4, 16]
    best.write_text(json.dumps(about))
    assert "the network needs" in refusal(trained, run)["what"]


@fault("F12", "no checkpoint, and no run", then="6, which of them")
def test_no_checkpoint_and_no_run(trained: Trained, run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    assert "no checkpoint yet" in refusal(trained, run)["what"]
    shutil.rmtree(run)
    assert "not a run" in refusal(trained, run)["what"]


def test_a_run_does_not_go_on_from_a_damaged_checkpoint(trained: Trained, run: Path) -> None:
    unfinish(run)
    truncate(run / "checkpoints" / "last" / "model.safetensors", lambda n: n - 1)
    before = files_in(run)
    refused("fit", "--config", trained.config, "--run", run, "--resume", code=6)
    assert files_in(run) == before


@pytest.mark.parametrize(("name", "code"), [("config.yaml", 2), ("run.json", 3), ("plan.json", 3), ("splits.json", 3)])
def test_a_record_that_is_cut_short(trained: Trained, run: Path, name: str, code: int) -> None:
    unfinish(run)
    truncate(run / name, lambda n: n // 2)
    problem = refused("fit", "--config", trained.config, "--run", run, "--resume", code=code)[0]
    assert problem["where"] == str(run / name)


@fault("F12", "a run that names code", then="6, `--allow-code`; nothing of it runs")
def test_code_that_a_run_names_is_not_run_unless_it_is_allowed(trained: Trained, tmp_path: Path) -> None:
    config = study(tmp_path, config=CONFIG + "loss: {name: 'mine.py:Loss'}\n")
    (tmp_path / "mine.py").write_text(
        "import pathlib, torch\n"
        "pathlib.Path(__file__).with_name('canary').touch()\n"
        "class Loss(torch.nn.Module):\n"
        "    def forward(self, logits, target):\n"
        "        return torch.nn.functional.cross_entropy(logits, target)\n"
    )
    done("fit", "--config", config, "--run", tmp_path / "run")
    (tmp_path / "canary").unlink()
    arguments = ("--run", tmp_path / "run", "--images", tmp_path / "images", "--out", tmp_path / "out")
    for command in ("predict", "eval"):
        problem = refused(command, *arguments, code=6)[0]
        assert "mine.py:Loss" in problem["why"]
        assert "--allow-code" in problem["fix"]
        assert not (tmp_path / "out").exists()
    assert not (tmp_path / "canary").exists()
    done("predict", *arguments, "--allow-code")


@fault("F12", "a run or sweep whose losses or metrics are code", then="6, or a report without it; nothing of it runs")
def test_a_metric_or_loss_that_a_run_or_sweep_names_is_not_imported(trained: Trained, tmp_path: Path) -> None:
    config = study(tmp_path, config=CONFIG + "evaluation: {metrics: [dice, 'mine.py:Missed']}\n")
    canary = "import pathlib\npathlib.Path(__file__).with_name('canary').touch()\n"
    (tmp_path / "mine.py").write_text(
        canary + "import torch\n"
        "from segtrain.metrics.overlap import Dice as Missed\n"
        "class Loss(torch.nn.CrossEntropyLoss): ...\n"
    )
    short = ("--config", config, "training.epochs=1", "training.steps_per_epoch=1")
    done("fit", *short, "--run", tmp_path / "run")
    done("compare-losses", *short, f"compare.losses.1={tmp_path}/mine.py:Loss", "--run", tmp_path / "sweep")
    (tmp_path / "canary").unlink()
    places = ("--images", tmp_path / "images", "--labels", tmp_path / "labels", "--out", tmp_path / "out")
    problem = refused("eval", "--run", tmp_path / "run", *places, code=6)[0]
    assert "mine.py:Missed" in problem["why"]
    for folder in ("run", "sweep"):
        done("report", tmp_path / folder)
        done("info", tmp_path / folder)
    assert not (tmp_path / "canary").exists()
    done("eval", "--run", tmp_path / "run", *places, "--allow-code")


@pytest.mark.parametrize("name", ["evaluation.json", "metrics.json"])
def test_a_validation_whose_files_are_gone_is_named(trained: Trained, run: Path, name: str) -> None:
    (run / "validation" / name).unlink()
    if name == "metrics.json":
        refused("fit", "--config", trained.config, "--run", run, "--resume", code=3)
    else:
        assert refused("report", run / "validation", code=3)[0]["where"] == str(run / "validation" / name)
