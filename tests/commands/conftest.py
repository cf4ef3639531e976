"""One trained run that the tests of this folder read and never change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import projects


@dataclass(frozen=True)
class Trained:
    """A study of four cases, and a run on it."""

    config: Path
    run: Path
    answer: dict[str, Any]
    """What `fit --json` printed."""
    stderr: str

    @property
    def root(self) -> Path:
        """Where `images` and `labels` are."""
        return self.config.parent


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    root = tmp_path_factory.mktemp("study")
    config = projects.study(root)
    told = projects.done("fit", "--config", config, "--run", root / "run", "--json")
    return Trained(config, root / "run", projects.json_of(told), told.stderr)
