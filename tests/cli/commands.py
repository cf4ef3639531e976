"""Recipes that tell what they were called with, put where the command line meets the real ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from segtrain.cli.app import app
from segtrain.core.events import Event, Finished
from segtrain.core.scores import CaseScores

CONFIG = """\
data: {images: images, labels: labels}
task: {labels: {background: 0, liver: 1}}
training: {epochs: 3, folds: 3}
compare: {losses: [dice, dice_ce]}
"""

METRICS = {
    "schema_version": 1,
    "cases": 2,
    "labels": {"liver": {"dice": {"mean": 0.8125, "ci95": [0.7, 0.9], "n": 2, "n_undefined": 1}}},
    "mean": {"dice": 0.8125},
    "failed": [],
}

UNSCORED = CaseScores("P1", "P1", {}, {}, {"liver": 12.5})
"""A case that has no label."""


@dataclass
class Calls:
    """What a recipe was given, call by call."""

    positional: list[tuple[Any, ...]] = field(default_factory=list)
    named: list[dict[str, Any]] = field(default_factory=list)


def segtrain(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="segtrain")


def config_file(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def put(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Callable[..., Any]) -> None:
    """Replace the module `segtrain.recipes.<name>`."""
    module = ModuleType(f"segtrain.recipes.{name}")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def telling(*events: Event, error: BaseException | None = None) -> tuple[Calls, Callable[..., Iterator[Event]]]:
    """A recipe that yields `events`, then raises `error`."""
    calls = Calls()

    def recipe(*args: Any, **kwargs: Any) -> Iterator[Event]:
        calls.positional.append(args)
        calls.named.append(kwargs)
        yield from events
        if error is not None:
            raise error

    return calls, recipe


def finished(folder: str = "out", *failed: str, **result: Any) -> Finished:
    return Finished(Path(folder), {"schema_version": 1, **result}, failed)
