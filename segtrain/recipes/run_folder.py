"""Names of the files of a run, what may be emptied, and what is written down of how a run came about."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

from segtrain.core.errors import CheckpointError, ConfigError, DataError, Problem
from segtrain.core.files import disk_errors, read_json, write_json
from segtrain.recipes.lock import LOCK, Lock, locked, require_free

STORE = "prepared"
"""Where prepared cases lie. They are no results: a folder that holds nothing else counts as empty."""
OURS = ("run.json", "summary.json", "metrics.json")
"""A folder that holds none of these is not emptied."""
RECORDED_PACKAGES = ("segtrain", "torch", "numpy", "scipy", "nibabel", "SimpleITK", "pydicom", "safetensors")


@dataclass(frozen=True)
class RunFolder:
    """Where everything of one run lies."""

    path: Path

    @property
    def name(self) -> str:
        """What a person calls the run: its folder, with those above where it is a number, as in a sweep."""
        parts = self.path.resolve().parts
        named = next((place for place, part in enumerate(reversed(parts), 1) if not part.isdecimal()), 1)
        return "/".join(parts[-named:])

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def record(self) -> Path:
        """Versions, command, seeds, data hashes, host, timings."""
        return self.path / "run.json"

    @property
    def plan(self) -> Path:
        """The plan."""
        return self.path / "plan.json"

    @property
    def splits(self) -> Path:
        """Which cases train and which validate."""
        return self.path / "splits.json"

    @property
    def log(self) -> Path:
        """One JSON object a line: everything that happened."""
        return self.path / "log.jsonl"

    @property
    def metrics(self) -> Path:
        """A row an epoch."""
        return self.path / "metrics.csv"

    @property
    def progress(self) -> Path:
        """How far it has come, as a picture."""
        return self.path / "progress.png"

    @property
    def tensorboard(self) -> Path:
        """Event files for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """MLflow's database, where no other is named."""
        return self.path / "mlflow.db"

    @property
    def last(self) -> Path:
        """Checkpoint of the last finished epoch."""
        return self.path / "checkpoints" / "last"

    @property
    def best(self) -> Path:
        """Checkpoint with the best validation score."""
        return self.path / "checkpoints" / "best"

    @property
    def validation(self) -> Path:
        """Evaluation of the best checkpoint on the validation cases."""
        return self.path / "validation"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def failure(self) -> Path:
        """Why a run of a sweep ended without a result."""
        return self.path / "failed.json"

    @property
    def is_finished(self) -> bool:
        """Whether a fit ran to its end here."""
        return self.record.is_file() and "finished" in read_record(self.record)

    @property
    def store(self) -> Path:
        """Prepared cases."""
        return self.path / STORE

    def require_run(self) -> None:
        """CheckpointError where this is not the folder of a run."""
        if not self.record.is_file():
            hint = "give the folder that `segtrain fit --run` wrote"
            raise CheckpointError(Problem("this is not a run", str(self.path), "it holds no run.json", hint))


def require_place(path: Path, *, resume: bool, overwrite: bool) -> None:
    """ConfigError where the folder holds something and no flag says what to do with it, or may not be emptied."""
    if resume and overwrite:
        raise ConfigError(Problem("--resume and --overwrite exclude each other"))
    if not _is_filled(path):
        return
    if overwrite:
        _require_ours(path)
        require_free(path)
    elif not resume:
        hint = "--resume goes on with it, --overwrite starts anew, --run NAME takes another folder"
        raise ConfigError(Problem("the run folder is not empty", str(path), hint=hint))


@contextmanager
def opened(path: Path, *, resume: bool, overwrite: bool) -> Iterator[Lock]:
    """Make the folder and keep other processes out; only then it is emptied, where `overwrite` says so.

    Raises as `require_place`.
    """
    require_place(path, resume=resume, overwrite=overwrite)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with locked(path) as lock:
        if overwrite and _is_filled(path):
            _require_ours(path)  # once more: it may have been free and empty before
            _empty(path)
        yield lock


def _is_filled(path: Path) -> bool:
    return path.is_dir() and any(p.name != STORE and not _is_of_lock(p) for p in path.iterdir())


def _is_of_lock(path: Path) -> bool:
    """The lock, or what another process puts down beside it for a moment while it asks for it."""
    return path.name == LOCK or path.name.startswith(f"{LOCK}.")


@contextmanager
def emptied_on_error(path: Path) -> Iterator[None]:
    """Where config or data are at fault, leave an empty folder empty: the same command works once that is mended.

    What was made of the cases that are sound stays, and need not be made again.
    """
    begun = _is_filled(path)
    try:
        yield
    except (CheckpointError, ConfigError, DataError):
        if not begun:
            _empty(path, STORE)
        raise


def _empty(path: Path, *kept: str) -> None:
    """Delete all but the lock and what is `kept`; what shows whose the folder is goes last, for the case of a kill."""
    with disk_errors(path):
        for item in sorted(path.iterdir(), key=lambda item: item.name in OURS):
            if item.name not in kept and not _is_of_lock(item):
                shutil.rmtree(item) if item.is_dir() else item.unlink()


def _require_ours(path: Path) -> None:
    """Never empty a folder that segtrain did not make; a config.yaml may be that of somebody's scans."""
    if not any((path / name).is_file() for name in OURS):
        why = "it holds none of the files of a run, so it is not emptied"
        raise ConfigError(Problem("--overwrite would delete a folder that is not a run", str(path), why))


def write_record(folder: RunFolder, extra: Mapping[str, Any]) -> None:
    """run.json: what one needs to say how these numbers came about. Later calls add to earlier ones."""
    known = read_record(folder.record) if folder.record.is_file() else _circumstances()
    write_json(folder.record, {**known, **extra})


def _circumstances() -> dict[str, Any]:
    """Where and by what a run was begun."""
    return {
        "schema_version": 1,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: found for name in RECORDED_PACKAGES if (found := _version(name))},
        "git": _git_commit(),
    }


def read_record(path: Path) -> dict[str, Any]:
    """A JSON object that a recipe wrote. DataError where it is missing or damaged: what it said is not guessed."""
    with reading(path):
        found = read_json(path)
        if not isinstance(found, dict):
            raise TypeError(f"it holds a {type(found).__name__}, not an object")
        return found


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with the content of a file that a recipe wrote becomes a DataError that names the file."""
    hint = "restore it from a copy, or do again what wrote it"
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(Problem("a file of the run is missing", str(path), hint=hint)) from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(Problem("a file of the run is damaged, or of another kind", str(path), why, hint)) from error


def append_log(folder: RunFolder, kind: str, **values: Any) -> None:
    """Add a line to log.jsonl, in place of one that a kill has cut short."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": kind, **values}
    with disk_errors(folder.log), folder.log.open("a+b") as file:
        _drop_cut_line(file)
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _drop_cut_line(file: BinaryIO) -> None:
    """Only the end of the file is read, unless it is cut."""
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def mend_log(folder: RunFolder, history: Iterable[Mapping[str, Any]]) -> None:
    """After a kill: add the epochs of `history` that log.jsonl lacks."""
    lines = folder.log.read_bytes().splitlines(keepends=True) if folder.log.is_file() else []
    whole = [line for line in lines if line.endswith(b"\n")]
    logged = {found["epoch"] for line in whole if (found := _object(line)).get("event") == "epoch"}
    for row in history:
        if row["epoch"] not in logged:
            append_log(folder, "epoch", **row)


def _object(line: bytes) -> dict[str, Any]:
    """A line of log.jsonl; nothing where it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the folder one works in, where it is a checkout."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
