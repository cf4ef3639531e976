"""One study, one trained run and one sweep for all tests of this folder; nobody writes to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from segtrain.core.events import Event
from segtrain.recipes import api
from tests.recipes.projects import BROKEN_LOSS, write_study

COMPARE = """\
compare:
  losses: [dice_ce, {name: 'broken.py:Breaks', label: broken, training: {learning_rate: 1e-3}}]
  folds: 2
  seeds: [0]
  baseline: dice_ce
"""


@dataclass(frozen=True)
class Done:
    """A folder that a function of the API filled, what it returned and what it told."""

    folder: Path
    config: Path
    result: dict[str, Any]
    events: list[Event] = field(repr=False)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scans with `config.yaml`, and a loss that diverges."""
    root = tmp_path_factory.mktemp("study")
    config = write_study(root)
    config.write_text(config.read_text(encoding="utf-8") + COMPARE, encoding="utf-8")
    (root / "broken.py").write_text(BROKEN_LOSS, encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def fitted(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A finished fit."""
    folder, events = tmp_path_factory.mktemp("runs") / "first", []
    result = api.fit(study / "config.yaml", folder, overrides=["compare=null"], device="cpu", watch=events.append)
    return Done(folder, study / "config.yaml", result, events)


@pytest.fixture(scope="session")
def trained(fitted: Done) -> Path:
    """The folder of a finished fit."""
    return fitted.folder


@pytest.fixture(scope="session")
def swept(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A finished sweep in which one loss diverged."""
    folder, events = tmp_path_factory.mktemp("sweeps") / "sweep", []
    result = api.compare_losses(study / "config.yaml", folder, device="cpu", watch=events.append)
    return Done(folder, study / "config.yaml", result, events)
