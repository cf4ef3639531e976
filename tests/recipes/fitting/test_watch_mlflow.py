"""What MLflow itself finds of a run."""

from __future__ import annotations

import json
import re

import pytest

from segtrain.core.events import CaseScored, EpochEnded
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.watch_mlflow import QUIET, safe
from segtrain.recipes.run_folder import RunFolder
from segtrain.recipes.run_report import epoch_rows
from tests.recipes.projects import close_at, load, step


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("validation/dice", "validation/dice"),
        ("validation//home/me/mine.py:Missed/left liver", "validation/home/me/mine.py_Missed/left liver"),
        ("validation/dice/../../x", "validation/dice/x"),
        ("validation/dice/grün & blau", "validation/dice/grün _ blau"),
        ("/", "_"),
    ],
)
def test_names_are_as_mlflow_takes_them(name, expected):
    assert safe(name) == expected
    assert re.fullmatch(r"[/\w.\- ]+", safe(name))


@pytest.fixture
def client(monkeypatch):
    """Reads a database; whatever the environment names as a server is no place to ask."""
    for package in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package, reason="MLflow is an extra: pip install 'segtrain[mlflow]'")
    for name in QUIET:
        monkeypatch.setenv(name, QUIET[name])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    from mlflow.tracking import MlflowClient

    return lambda uri: MlflowClient(tracking_uri=uri)


@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_is_broken_off_is_one_run_with_what_metrics_csv_has(client, study, tmp_path):
    loaded = load(study, "compare=null", "training.watch=[mlflow]")
    run = tmp_path / "run"
    close_at(fit(loaded, run, device="cpu"), lambda event: isinstance(event, EpochEnded))
    kept = json.loads((run / "run.json").read_text())["mlflow"]
    assert kept["uri"] is None
    found = client(f"sqlite:///{(run / 'mlflow.db').as_posix()}")
    assert found.get_run(kept["run_id"]).info.status == "KILLED"
    close_at(fit(loaded, run, device="cpu", resume=True), step(4))
    close_at(fit(loaded, run, device="cpu", resume=True), lambda event: isinstance(event, CaseScored))
    table = epoch_rows(RunFolder(run))
    for key, column in (("training/loss", "train_loss"), ("validation/dice/organ", "dice/organ")):
        told = [(metric.step, metric.value) for metric in found.get_metric_history(kept["run_id"], key)]
        assert told == [(row["epoch"], row[column]) for row in table]
    ended = found.get_run(kept["run_id"])
    assert (ended.info.status, ended.info.run_name) == ("FINISHED", "run")
    assert ended.data.params["training.epochs"] == "2"
    assert "training.mlflow_uri" not in ended.data.params
    assert json.loads((run / "run.json").read_text())["mlflow"] == kept
    assert len(found.search_runs([ended.info.experiment_id])) == 1
