"""Names of the files of a run, and who may write to it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

from segtrain.config.dump import to_yaml
from segtrain.config.load import Loaded, Origin
from segtrain.core.errors import CheckpointError, ConfigError, DataError, Problem
from segtrain.core.files import disk_errors, read_json, write_json, write_text

RECORDED_PACKAGES = ("segtrain", "torch", "numpy", "scipy", "nibabel", "SimpleITK", "pydicom", "safetensors")
LOCK = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """Where everything of one run lies."""

    path: Path

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
        return self.path / "prepared"

    def require_run(self) -> None:
        """CheckpointError where this is not the folder of a run."""
        if not self.record.is_file():
            hint = "give the folder that `segtrain fit --run` wrote"
            raise CheckpointError(Problem("this is not a run", str(self.path), "it holds no run.json", hint))


def open_for_writing(path: Path, *, resume: bool, overwrite: bool) -> None:
    """Make the folder ready. ConfigError where it holds something and neither flag says what to do with it."""
    if resume and overwrite:
        raise ConfigError(Problem("--resume and --overwrite exclude each other"))
    filled = path.is_dir() and any(p.name != LOCK for p in path.iterdir())
    if filled and overwrite:
        _require_ours(path)
        _require_free(path)
        _empty(path)
    elif filled and not resume:
        hint = "--resume goes on with it, --overwrite starts anew, --run NAME takes another folder"
        raise ConfigError(Problem("the run folder is not empty", str(path), hint=hint))
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def emptied_on_error(path: Path) -> Iterator[None]:
    """Where config or data are at fault, leave an empty folder empty: the same command works once that is mended."""
    begun = any(p.name != LOCK for p in path.iterdir())
    try:
        yield
    except (ConfigError, DataError):
        if not begun:
            _empty(path)
        raise


def _empty(path: Path) -> None:
    with disk_errors(path):
        for item in path.iterdir():
            if item.name != LOCK:
                shutil.rmtree(item) if item.is_dir() else item.unlink()


def _require_ours(path: Path) -> None:
    """Never empty a folder that segtrain did not make; a config.yaml may be that of somebody's scans."""
    if not any((path / name).is_file() for name in ("run.json", "summary.json", "metrics.json")):
        why = "it holds none of the files of a run, so it is not emptied"
        raise ConfigError(Problem("--overwrite would delete a folder that is not a run", str(path), why))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a second process out; a lock whose process is dead is taken over, and its half-written files deleted."""
    lock = path / LOCK
    owner = f"{os.getpid()} {socket.gethostname()}"
    with disk_errors(lock):
        while True:
            try:
                with lock.open("x", encoding="utf-8") as file:
                    file.write(owner)
                break
            except FileExistsError:
                _require_free(path)
                lock.unlink(missing_ok=True)
        for half_written in path.rglob(".*.tmp"):  # .NAME.PID.tmp
            if not _process_is_alive(half_written.suffixes[-2][1:]):
                half_written.unlink(missing_ok=True)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _require_free(path: Path) -> None:
    """ConfigError where another process writes to the folder."""
    lock = path / LOCK
    if lock.is_file() and _is_alive(lock):
        hint = f"wait for it, or delete {lock} if no segtrain runs there"
        why = f"held by process {lock.read_text(encoding='utf-8')}"
        raise ConfigError(Problem("another segtrain writes to this folder", str(path), why, hint))


def _is_alive(lock: Path) -> bool:
    pid, _, host = lock.read_text(encoding="utf-8").partition(" ")
    if host != socket.gethostname():
        return bool(host)
    return pid != str(os.getpid()) and _process_is_alive(pid)


def _process_is_alive(pid: str) -> bool:
    """Whether a process of this machine has that number; where that cannot be asked, it is taken to be alive."""
    if os.name == "nt":  # os.kill(pid, 0) would send Ctrl-C there
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def keep_config(folder: RunFolder, loaded: Loaded) -> None:
    """Write the resolved config down. ConfigError where a resumed run was begun with another one."""
    text = to_yaml(loaded)
    if folder.config.is_file() and _values(folder.config.read_text(encoding="utf-8")) != _values(text):
        hint = "resume with the config in the run folder, or start another run with --run NAME"
        raise ConfigError(Problem("the config is not the one this run began with", str(folder.config), hint=hint))
    write_text(folder.config, text)


def keep_fold(folder: RunFolder, fold: int | None) -> None:
    """Write down which fold is held out. ConfigError where a resumed run was begun with another one."""
    known = read_record(folder.record) if folder.record.is_file() else {}
    if known.get("fold", fold) != fold:
        begun = "without --fold" if known["fold"] is None else f"with --fold {known['fold']}"
        hint = "resume with the same fold, or start another run with --run NAME"
        raise ConfigError(Problem(f"this run began with another fold: {begun}", str(folder.path), hint=hint))
    write_record(folder, {"fold": fold})


def _values(text: str) -> list[str]:
    """A resolved config without its comments, which only say where a value came from."""
    parts = [(line, *line.rpartition("  # ")) for line in text.split("\n")]
    return [value if origin in get_args(Origin) else line for line, value, _, origin in parts]


def write_record(folder: RunFolder, extra: Mapping[str, Any]) -> None:
    """run.json: what one needs to say how these numbers came about. Later calls add to earlier ones."""
    known = read_record(folder.record) if folder.record.is_file() else {}
    record = {
        "schema_version": 1,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: found for name in RECORDED_PACKAGES if (found := _version(name))},
        "git": _git_commit(),
    }
    write_json(folder.record, {**record, **known, **extra})


def read_record(path: Path) -> Any:
    """JSON that a recipe wrote. DataError where it is damaged: what it said is not guessed."""
    try:
        return read_json(path)
    except ValueError as error:
        hint = "restore it from a copy, or start another run with --run NAME"
        raise DataError(Problem("a file of the run is damaged", str(path), str(error), hint)) from error


def append_log(folder: RunFolder, kind: str, **values: Any) -> None:
    """Add a line to log.jsonl."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": kind, **values}
    with disk_errors(folder.log), folder.log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


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
