"""Epochs -> MLflow: `mlflow.db` in the run folder, or the server that `training.mlflow_uri` names.

Nothing goes over the network unless that key says so: the address is handed over, whatever the environment holds, and
what MLflow would report of its own use is switched off.
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Sequence
from typing import Any

from segtrain.config.dump import flat
from segtrain.config.load import Loaded
from segtrain.recipes.run_folder import RunFolder, read_record, write_record
from segtrain.reports.curves import Row, watched_values

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""What MLflow reads from the environment, unless the user has set it: no reports home, no minutes of retries."""

AT_ONCE = 100
"""Parameters that MLflow takes in one call."""

LONGEST = 500
"""Characters of a parameter's value that every version of MLflow takes."""

PRIVATE = ("training.mlflow_uri",)
"""What is not sent: an address may hold a password."""

STATUS = {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}

LAST_KEY = "training/loss"
"""Every epoch has it."""


class MlflowRun:
    """One run of MLflow, which a resumed training goes on with: run.json has its id and where it is kept."""

    def __init__(self, folder: RunFolder, loaded: Loaded) -> None:
        settings = loaded.config.training
        local = f"sqlite:///{folder.mlflow.resolve().as_posix()}"
        known = read_record(folder.record).get("mlflow")
        self._client = _client(settings.mlflow_uri or local)
        if known and known["uri"] == settings.mlflow_uri:
            self._run = str(known["run_id"])
            self._client.update_run(self._run, status="RUNNING")
            told = self._client.get_metric_history(self._run, LAST_KEY)
            self._told = max((metric.step for metric in told), default=0)
            return
        self._told = 0
        experiment = self._experiment(settings.mlflow_experiment, None if settings.mlflow_uri else folder)
        self._run = self._client.create_run(experiment, run_name=folder.name).info.run_id
        write_record(folder, {"mlflow": {"uri": settings.mlflow_uri, "run_id": self._run}})
        self._tell_config(loaded)

    def tell(self, history: Sequence[Row]) -> None:
        """Log the rows after those that are there, each in one call; the step of a value is its epoch."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        for row in history:
            epoch = int(row["epoch"] or 0)
            if epoch > self._told:
                values = [Metric(safe(key), value, now, epoch) for key, value in watched_values(row).items()]
                self._client.log_batch(self._run, metrics=values)
                self._told = epoch

    def close(self, ending: str) -> None:
        """Say how the training ended."""
        self._client.set_terminated(self._run, STATUS[ending])

    def _experiment(self, name: str, folder: RunFolder | None) -> str:
        """The id of an experiment, which is made where it is missing; `folder` is where a local one keeps files."""
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None if folder is None else (folder.path.resolve() / "mlflow").as_uri()
        return str(self._client.create_experiment(name, artifact_location=place))

    def _tell_config(self, loaded: Loaded) -> None:
        from mlflow.entities import Param

        values = [Param(safe(key), str(value)[:LONGEST]) for key, value, _ in flat(loaded) if key not in PRIVATE]
        for first in range(0, len(values), AT_ONCE):
            self._client.log_batch(self._run, params=values[first : first + AT_ONCE])


def safe(name: str) -> str:
    """A name as MLflow takes it: letters, digits, `_-. /`, and no path that would lead elsewhere."""
    parts = [re.sub(r"[^\w\-. ]", "_", part) for part in name.split("/")]
    return "/".join(part for part in parts if part.strip(".")) or "_"


def _client(uri: str) -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what MLflow itself uses
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):  # they tell of each table that they make
            logging.getLogger(name).setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)  # a wrong address is found now
    return client
