"""F20 and F21: signals outside of an epoch, and processes that die, fail or hang, met by a command."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.commands.conftest import Trained
from tests.commands.processes import start
from tests.commands.projects import CONFIG, files_in, read
from tests.faults.processes import PATIENCE
from tests.faults.studies import small_study
from tests.faults.table import fault
from tests.recipes.projects import DEADLY_LOSS

QUICK = ("training.epochs=1", "training.steps_per_epoch=1")


@fault("F20", "SIGTERM while a prediction is written", then="143, whole masks alone; --resume makes the others")
def test_a_prediction_that_is_terminated_leaves_whole_masks(trained: Trained, tmp_path: Path) -> None:
    predict = ("predict", "--run", trained.run, "--images", trained.root / "images", "--out", tmp_path / "out")
    running = start(tmp_path / "said.txt", *predict)
    running.wait_until(lambda: any((tmp_path / "out" / "predictions").glob("*.nii.gz")))
    running.send(signal.SIGTERM)
    assert running.ended() in (143, 0), running.said  # the last mask may have been the next moment's
    assert not [name for name in files_in(tmp_path / "out") if ".tmp" in name or name == ".lock"]
    again = start(tmp_path / "again.txt", *predict, "--resume")
    assert again.ended() == 0, again.said
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == 4


@fault("F20", "SIGINT while the held-out cases are scored", then="130, the weights stay; --resume scores them")
def test_an_interrupt_while_scoring_keeps_the_weights(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    run = tmp_path / "run"
    fit = ("fit", "--config", config, "--run", run)
    running = start(tmp_path / "said.txt", *fit)
    running.wait_until((run / "validation").exists)
    running.send(signal.SIGINT)
    assert running.ended() in (130, 0), running.said
    weights = (run / "checkpoints" / "last" / "model.safetensors").read_bytes()
    again = start(tmp_path / "again.txt", *fit, "--resume")
    assert again.ended() == 0, again.said
    assert (run / "checkpoints" / "last" / "model.safetensors").read_bytes() == weights
    assert read(run / "validation" / "metrics.json")["cases"] == 1


@pytest.mark.slow
@fault("F21", "a run of a sweep whose process dies, twice", then="1, tried again, then named; the others are done")
def test_a_run_of_a_sweep_that_dies_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DEADLY_LOSS)
    text = CONFIG.replace("losses: [dice_ce, dice]", "losses: [dice_ce, {name: 'mine.py:Deadly', label: deadly}]")
    config = small_study(tmp_path, cases=4, config=text)
    sweep = ("compare-losses", "--config", config, *QUICK, "--run", tmp_path / "sweep", "--workers", "2", "--json")
    running = start(tmp_path / "said.txt", *sweep)
    assert running.ended(PATIENCE) == 1, running.said
    assert "its process died" in running.said
    assert "it is tried again" in running.said
    told = json.loads(running.said[running.said.index("\n{") :])
    assert {name.partition(",")[0] for name in told["broken_runs"]} == {"deadly"}
