"""A run goes on with what it was begun with, or says what differs."""

from __future__ import annotations

import hashlib
import json

import pytest

from segtrain.config.code import FIT
from segtrain.core.errors import ConfigError
from segtrain.recipes.fitting.begun_with import BESIDE_A_FIT, BESIDE_A_SWEEP, keep_code, keep_config, keep_fold
from segtrain.recipes.run_folder import RunFolder, write_record
from tests.faults.table import fault
from tests.recipes.projects import CONFIG, load


@pytest.fixture
def run(tmp_path):
    """A folder that a fit wrote to."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("data: {}\n")
    write_record(RunFolder(folder), {})
    return folder


def test_a_config_is_kept_with_the_origin_of_each_value(tmp_path, run):
    (run / "config.yaml").unlink()
    keep_config(RunFolder(run), load(tmp_path, "training.seed=4", text=CONFIG), BESIDE_A_FIT)
    lines = {line.strip() for line in (run / "config.yaml").read_text().splitlines()}
    assert lines >= {"seed: 4  # command line", "epochs: 2  # file", "weight_decay: 0.0001  # default"}


def test_the_same_config_is_accepted_wherever_its_values_came_from(tmp_path, run):
    (run / "config.yaml").unlink()
    keep_config(RunFolder(run), load(tmp_path, text=CONFIG), BESIDE_A_FIT)
    keep_config(RunFolder(run), load(tmp_path, "training.epochs=2", "training.seed=0"), BESIDE_A_FIT)
    assert "epochs: 2  # command line" in (run / "config.yaml").read_text()


def test_what_others_call_its_labels_may_change(tmp_path, run):
    (run / "config.yaml").unlink()
    keep_config(RunFolder(run), load(tmp_path, text=CONFIG), BESIDE_A_FIT)
    codes = 'task={labels: {background: 0, organ: 1}, codes: {organ: {type: {value: "10200004", meaning: Liver}}}}'
    keep_config(RunFolder(run), load(tmp_path, codes), BESIDE_A_FIT)
    assert "10200004" in (run / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("training.epochs=3", "training.epochs was 2, is 3"),
        ("loss.smooth=1", "loss.smooth was not there, is 1"),
        ("task.labels.lesion=2", "task.labels.lesion was not there, is 2"),
    ],
)
def test_another_config_is_refused_by_key_and_the_first_one_stays(tmp_path, run, change, told):
    (run / "config.yaml").unlink()
    keep_config(RunFolder(run), load(tmp_path, text=CONFIG), BESIDE_A_FIT)
    before = (run / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="not the one this run began with") as error:
        keep_config(RunFolder(run), load(tmp_path, change), BESIDE_A_FIT)
    assert [problem.why for problem in error.value.problems] == [told]
    assert (run / "config.yaml").read_text() == before


def test_the_order_of_regions_is_a_change(tmp_path, run):
    (run / "config.yaml").unlink()
    regions = "task={labels: {b: 0, x: 1, y: 2}, regions: {%s}}"
    keep_config(RunFolder(run), load(tmp_path, regions % "one: [x], two: [y]", text=CONFIG), BESIDE_A_FIT)
    with pytest.raises(ConfigError, match="its keys stand in another order"):
        keep_config(RunFolder(run), load(tmp_path, regions % "two: [y], one: [x]"), BESIDE_A_FIT)


@fault("F34", "a config without a newer key", then="0, the run goes on")
def test_a_key_that_an_older_version_did_not_know_does_not_strand_a_run(tmp_path, run):
    (run / "config.yaml").unlink()
    keep_config(RunFolder(run), load(tmp_path, text=CONFIG), BESIDE_A_FIT)
    lines = (run / "config.yaml").read_text().splitlines()
    (run / "config.yaml").write_text("\n".join(line for line in lines if "momentum" not in line) + "\n")
    keep_config(RunFolder(run), load(tmp_path), BESIDE_A_FIT)
    assert "momentum" in (run / "config.yaml").read_text()


def test_a_change_behind_a_hash_sign_is_a_change(tmp_path, run):
    (run / "config.yaml").unlink()
    keep_config(RunFolder(run), load(tmp_path, "data.patient_from='(P.)  #a'", text=CONFIG), BESIDE_A_FIT)
    with pytest.raises(ConfigError, match="not the one this run began with"):
        keep_config(RunFolder(run), load(tmp_path, "data.patient_from='(P.)  #b'"), BESIDE_A_FIT)


@pytest.mark.parametrize(("begun", "again"), [(None, 1), (0, None), (0, 1)])
def test_another_fold_is_refused(run, begun, again):
    keep_fold(RunFolder(run), begun)
    keep_fold(RunFolder(run), begun)
    with pytest.raises(ConfigError, match="another fold"):
        keep_fold(RunFolder(run), again)


def test_a_run_may_go_on_with_others_who_watch_it(tmp_path):
    folder = RunFolder(tmp_path / "new")
    keep_config(folder, load(tmp_path, text=CONFIG), BESIDE_A_FIT)
    keep_config(folder, load(tmp_path, "training.watch=[tensorboard]", "training.mlflow_uri=http://here"), BESIDE_A_FIT)
    assert "watch: [tensorboard]" in folder.config.read_text()
    with pytest.raises(ConfigError, match="not the one this run began with"):
        keep_config(folder, load(tmp_path, "training.watch=[tensorboard]", "training.seed=1"), BESIDE_A_FIT)


def test_code_is_kept_with_its_hash_and_a_package_without(tmp_path, run):
    (tmp_path / "mine.py").write_text("class Loss: ...\n")
    text = CONFIG.replace("dice_ce", "'mine.py:Loss'") + "evaluation: {metrics: ['package:Metric']}\n"
    loaded, folder = load(tmp_path, text=text), RunFolder(run)
    names = (f"{tmp_path}/mine.py:Loss", "package:Metric")
    assert keep_code(folder, loaded, FIT) == names
    digest = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    assert json.loads(folder.record.read_text())["code"] == {names[0]: digest, names[1]: None}
    keep_code(folder, loaded, FIT)
    (tmp_path / "mine.py").write_text("class Loss: pass\n")
    with pytest.raises(ConfigError, match=r"the code is not the one this run began with: \S*mine\.py:Loss\n"):
        keep_code(folder, loaded, FIT)


def test_code_that_an_older_version_did_not_record_is_added(tmp_path, run):
    (tmp_path / "mine.py").write_text("class Loss: ...\n")
    folder = RunFolder(run)
    write_record(folder, {"code": {}})
    keep_code(folder, load(tmp_path, text=CONFIG.replace("dice_ce", "'mine.py:Loss'")), FIT)
    assert json.loads(folder.record.read_text())["code"].keys() == {f"{tmp_path}/mine.py:Loss"}


def test_a_fit_goes_on_though_the_losses_of_a_sweep_changed_and_a_sweep_does_not(tmp_path):
    losses = "compare={losses: [dice, %s], baseline: dice}"
    for folder, beside in (
        (RunFolder(tmp_path / "fit"), BESIDE_A_FIT),
        (RunFolder(tmp_path / "sweep"), BESIDE_A_SWEEP),
    ):
        keep_config(folder, load(tmp_path, losses % "focal", text=CONFIG), beside)
    keep_config(RunFolder(tmp_path / "fit"), load(tmp_path, losses % "tversky"), BESIDE_A_FIT)
    keep_config(RunFolder(tmp_path / "fit"), load(tmp_path), BESIDE_A_FIT)
    with pytest.raises(ConfigError, match=r"compare\.losses"):
        keep_config(RunFolder(tmp_path / "sweep"), load(tmp_path, losses % "tversky"), BESIDE_A_SWEEP)
