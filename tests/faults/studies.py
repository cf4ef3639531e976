"""Small studies to spoil, and what must be so whatever was spoilt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from segtrain.core.grid import Grid
from tests import phantoms
from tests.commands.projects import CONFIG, answer, assert_untouched, refused, study, words_of

SHAPE = (16, 16, 12)
VICTIM = "P1"
"""The case that is spoilt."""


def small_study(root: Path, cases: int = 3, config: str = CONFIG) -> Path:
    """As `study`, with all scans on plain grids; returns the config."""
    return study(root, cases, config)


def image_of(config: Path, case: str = VICTIM) -> Path:
    """The scan of a case."""
    return config.parent / "images" / f"{case}.nii.gz"


def label_of(config: Path, case: str = VICTIM) -> Path:
    """Its mask."""
    return config.parent / "labels" / f"{case}.nii.gz"


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def inputs_untouched(config: Path) -> Iterator[None]:
    """Whatever a command does, scans and masks stay what they are."""
    places = [config.parent / name for name in ("images", "labels", "data") if (config.parent / name).exists()]
    before = [contents(place) for place in places]
    yield
    assert [contents(place) for place in places] == before


def faults_of(config: Path, *overrides: str, code: int = 3) -> str:
    """What `fit` and `check` say of data that cannot be used, as one text; nothing is begun."""
    run = config.parent / "run"
    with inputs_untouched(config):
        problems = refused("fit", "--config", config, *overrides, "--run", run, code=code)
        assert answer("check", "--config", config, *overrides, code=1)["problems"] == problems
    assert_untouched(run)
    return words_of(problems)


def moved(grid: Grid, voxels: float) -> Grid:
    """The grid, pushed along its first axis."""
    affine = np.array(grid.affine)
    affine[:3, 3] += voxels * affine[:3, 0]
    return Grid(grid.shape, affine)


def plain_grid(**changes: object) -> Grid:
    """An upright grid."""
    return phantoms.grid(SHAPE, **changes)  # type: ignore[arg-type]
