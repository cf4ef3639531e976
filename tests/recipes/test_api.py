"""The commands as functions: what they return is what `--json` prints."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import segtrain
from segtrain.cli.app import app
from segtrain.config.load import load_config
from segtrain.core.errors import CheckpointError, ConfigError, SegtrainError
from segtrain.core.events import CaseScored, EpochEnded, Finished, StepEnded
from segtrain.recipes import api
from segtrain.recipes.lock import LOCK
from segtrain.training import checkpoint
from tests.data.folders import write_structures
from tests.recipes.projects import OWN_METRIC, write_study


def printed(*arguments):
    """What the command line prints with --json."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return json.loads(done.stdout)


@pytest.fixture
def one_scan(tmp_path):
    """A folder with one scan and its mask."""
    write_study(tmp_path / "one", cases=("P8_a",))
    return tmp_path / "one"


def test_fit_returns_what_the_command_prints(fitted):
    found = api.fit(fitted.config, fitted.folder, overrides=["compare=null"], resume=True)
    assert found == printed("fit", "--config", fitted.config, "compare=null", "--run", fitted.folder, "--resume")
    assert found["metrics"] == fitted.result["metrics"]


def test_compare_losses_asks_for_the_executor_that_is_named(swept, monkeypatch):
    monkeypatch.setattr("segtrain.execution.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="not installed: ray"):
        api.compare_losses(swept.config, swept.folder, resume=True, executor="ray", workers=2)


def test_compare_losses_returns_what_the_command_prints(swept):
    found = api.compare_losses(swept.config, swept.folder, resume=True)
    assert found == swept.result
    assert found == printed("compare-losses", "--config", swept.config, "--run", swept.folder, "--resume")


def test_evaluate_of_a_run_returns_what_the_command_prints(trained, one_scan, tmp_path):
    images, labels = one_scan / "images", one_scan / "labels"
    found = api.evaluate(run=trained, images=images, labels=labels, out=tmp_path / "out")
    places = ("--images", images, "--labels", labels, "--out", tmp_path / "out")
    assert found == printed("eval", "--run", trained, *places, "--overwrite")


def test_evaluate_of_masks_returns_what_the_command_prints(one_scan, tmp_path):
    labels, out = one_scan / "labels", tmp_path / "out"
    found = api.evaluate(
        predictions=labels, labels=labels, out=out, label_names={"organ": [1]}, overrides=["evaluation.metrics=[dice]"]
    )
    flags = ("--label", "organ=1", "--metric", "dice", "--overwrite")
    assert found == printed("eval", "--predictions", labels, "--labels", labels, "--out", out, *flags)
    assert found["metrics"]["mean"] == {"dice": 1.0}


def test_structures_that_overlap_are_scored_where_that_is_asked_for(tmp_path):
    write_structures(tmp_path / "masks" / "a", {"liver": [(0, 0, 0)], "spleen": [(0, 0, 0), (1, 0, 0)]})
    masks = {
        "predictions": tmp_path / "masks",
        "labels": tmp_path / "masks",
        "label_names": {"liver": [1], "spleen": [2]},
    }
    assert api.evaluate(out=tmp_path / "refused", **masks)["failed"] == ["a"]
    assert api.evaluate(out=tmp_path / "later", overlap="later", **masks)["failed"] == []


def test_a_path_may_be_text(one_scan, tmp_path):
    labels = str(one_scan / "labels")
    found = api.evaluate(predictions=labels, labels=labels, out=str(tmp_path / "out"))
    assert found["report"] == str(tmp_path / "out" / "report.html")


def test_whoever_watches_sees_every_event_as_it_happens(fitted, swept):
    for events in (fitted.events, swept.events):
        assert {StepEnded, EpochEnded, CaseScored} <= {type(event) for event in events}
        assert isinstance(events[-1], Finished)


def test_whoever_watches_may_break_off_and_go_on_later(study, tmp_path):
    class Enough(Exception):
        pass

    def watch(event):
        if isinstance(event, StepEnded) and event.step == 2:
            raise Enough

    with pytest.raises(Enough) as kept:  # as a notebook keeps the last error, and with it the generator
        api.fit(study / "config.yaml", tmp_path / "run", watch=watch)
    assert kept.value is not None
    assert not (tmp_path / "run" / LOCK).exists()
    assert checkpoint.read_about(tmp_path / "run" / "checkpoints" / "last")["step"] == 2


def test_a_config_object_does_as_well_as_a_file(study, tmp_path):
    config = load_config(study / "config.yaml").config
    config = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 1})})
    seen = []
    api.fit(config, tmp_path / "run", fold=1, watch=seen.append)
    assert [event.epoch for event in seen if isinstance(event, EpochEnded)] == [1]
    assert "epochs: 1  # python" in (tmp_path / "run" / "config.yaml").read_text()


def test_overrides_of_a_config_object_are_refused(study, tmp_path):
    config = load_config(study / "config.yaml").config
    with pytest.raises(TypeError, match="model_copy"):
        api.fit(config, tmp_path / "run", overrides=["training.epochs=1"])


@pytest.mark.parametrize(
    "given",
    [{}, {"run": "r"}, {"images": "i", "predictions": "p", "labels": "l"}, {"predictions": "p"}, {"labels": "l"}],
)
def test_evaluate_needs_a_run_and_images_or_two_folders_of_masks(given, tmp_path):
    with pytest.raises(TypeError, match="run and images"):
        api.evaluate(out=tmp_path, **given)


def test_what_a_user_can_mend_is_one_error_with_all_problems(tmp_path):
    config = write_study(tmp_path)
    with pytest.raises(SegtrainError) as error:
        api.fit(config, tmp_path / "run", overrides=["training.epoch=1", "loss.smoth=1", "data.image=x"])
    assert isinstance(error.value, ConfigError)
    assert len(error.value.problems) > 1


def test_the_functions_can_be_imported_from_the_package():
    from segtrain import fit

    assert fit is api.fit
    assert (segtrain.fit, segtrain.evaluate, segtrain.compare_losses) == (api.fit, api.evaluate, api.compare_losses)


def test_importing_the_package_leaves_torch_out():
    code = "import sys, segtrain; print(sorted({'torch', 'matplotlib', 'nibabel', 'numpy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_the_package_does_not_have_is_no_attribute():
    assert not hasattr(segtrain, "fitt")


def test_evaluate_may_trust_the_code_of_a_run_and_overwrite_results(trained, one_scan, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("prepared", "validation"))
    text = (run / "config.yaml").read_text().replace("metrics: [dice, iou]", "metrics: ['metric.py:Missed']")
    (run / "config.yaml").write_text(text)
    (run / "metric.py").write_text(OWN_METRIC)
    places = {"run": run, "images": one_scan / "images", "labels": one_scan / "labels", "out": tmp_path / "out"}
    with pytest.raises(CheckpointError, match="names code"):
        api.evaluate(**places)
    api.evaluate(**places, allow_code=True)
    with pytest.raises(ConfigError, match="holds results already"):
        api.evaluate(**places, allow_code=True)
    api.evaluate(**places, allow_code=True, overwrite=True)
