"""Who is told of each epoch beside log.jsonl and metrics.csv: progress.png, and TensorBoard or MLflow where asked for.

**Watching never costs a training.** Who cannot be told, because a server is down or a disk is full, is given up with a
note. Each asks what it was told before and is told the rest, so that a resumed run is whole there too, in one piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from segtrain.config.load import Loaded
from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.events import Note
from segtrain.core.files import write_bytes
from segtrain.metrics.registry import definition
from segtrain.recipes.fitting.watch_mlflow import MlflowRun
from segtrain.recipes.fitting.watch_tensorboard import TensorBoard
from segtrain.recipes.run_folder import RunFolder
from segtrain.reports.curves import Row
from segtrain.reports.progress_picture import progress_png
from segtrain.reports.wording import metric_name
from segtrain.training.settings import TrainingSettings

PACKAGES = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}
"""What each needs; the extra of segtrain that brings them has its name."""

DRAWING_SHARE = 0.02
"""Most of the time that progress.png may take; it waits where epochs are shorter than that."""

Ending = Literal["done", "stopped", "failed"]
Tell = Callable[[Sequence[Row]], list[Note]]


class Watcher(Protocol):
    """Somebody who is told of epochs."""

    def tell(self, history: Sequence[Row]) -> None:
        """All rows so far: those that are new are shown."""

    def close(self, ending: Ending) -> None:
        """Nothing more will be told."""


def require_watchers(settings: TrainingSettings) -> None:
    """ConfigError where a package is missing that `training.watch` needs; imports none of them."""
    problems = []
    for name in settings.watch:
        missing = [package for package in PACKAGES[name] if find_spec(package) is None]
        if missing:
            hint = f"pip install 'segtrain[{name}]', or leave {name} out of training.watch"
            problems.append(Problem(f"not installed: {', '.join(missing)}", "training.watch", hint=hint))
    raise_all(ConfigError, problems)


@contextmanager
def watching(folder: RunFolder, loaded: Loaded) -> Iterator[Tell]:
    """Whom the config names and the picture, ready to be told; they are closed with the block."""
    settings = loaded.config.training
    openers: dict[str, Callable[[], Watcher]] = {
        "progress.png": partial(Picture, folder, loaded.config.evaluation.metrics[0], settings.planned_epochs)
    }
    known: Mapping[str, Callable[[], Watcher]] = {
        "tensorboard": partial(TensorBoard, folder),
        "mlflow": partial(MlflowRun, folder, loaded),
    }
    openers |= {name: known[name] for name in settings.watch}
    watchers = Watchers(openers)
    ending: Ending = "failed"
    try:
        yield watchers.tell
        ending = "done"
    except GeneratorExit:
        ending = "stopped"
        raise
    finally:
        watchers.close(ending)


@dataclass
class Watchers:
    """All who are told; one that fails is told no more."""

    openers: dict[str, Callable[[], Watcher]]
    """Those that were not told anything yet."""
    there: dict[str, Watcher] = field(default_factory=dict)

    def tell(self, history: Sequence[Row]) -> list[Note]:
        """Tell everybody; a note for each that fails."""
        notes = []
        for name in [*self.there, *self.openers]:
            try:
                if name in self.openers:
                    self.there[name] = self.openers.pop(name)()
                self.there[name].tell(history)
            except Exception as error:  # whatever it is, it is about the watcher and not about the training
                self.there.pop(name, None)
                notes.append(Note(_given_up(name, error)))
        return notes

    def close(self, ending: Ending) -> None:
        """Close everybody. What fails here was told before."""
        for name in list(self.there):
            try:
                self.there.pop(name).close(ending)
            except Exception:  # the training is over and its own files are written
                continue


def _given_up(name: str, error: Exception) -> str:
    first = " ".join(str(error).split())[:200]
    return f"{name} is told no more ({type(error).__name__}: {first}); a resumed run tells it the rest"


class Picture:
    """progress.png, drawn after each validation."""

    def __init__(self, folder: RunFolder, metric: str, epochs: int) -> None:
        self._path: Path = folder.progress
        self._name = folder.name
        self._metric, self._epochs = metric, epochs
        self._not_before = 0.0
        self._waits: Sequence[Row] = ()

    def tell(self, history: Sequence[Row]) -> None:
        """Draw, where the last row is of a validation and the last drawing is long enough ago."""
        if not history or history[-1].get(self._metric) is None:
            return
        self._waits = history
        if time.monotonic() >= self._not_before:
            self._draw()

    def close(self, ending: Ending) -> None:
        """Draw what waits."""
        del ending
        self._draw()

    def _draw(self) -> None:
        if not self._waits:
            return
        began = time.monotonic()
        write_bytes(self._path, progress_png(self._waits, self._title(self._waits)))
        now = time.monotonic()
        self._not_before = now + (now - began) / DRAWING_SHARE
        self._waits = ()

    def _title(self, history: Sequence[Row]) -> str:
        badness = definition(self._metric).badness
        scored = {row["epoch"]: value for row in history if (value := row.get(self._metric)) is not None}
        best = min(scored, key=lambda epoch: badness(scored[epoch]))
        where = f"{self._name}: epoch {history[-1]['epoch']} of {self._epochs}"
        return f"{where}, best {metric_name(self._metric)} {scored[best]:.3f} after epoch {best}"
