"""Tiny scans built in memory. No binary file lives in the repository."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from segtrain.core.grid import Grid
from segtrain.core.volume import LabelMap, Volume


def grid(shape=(24, 20, 12), spacing_mm=(1.0, 1.2, 2.5), degrees=0.0, flips=(1, 1, 1)) -> Grid:
    """A grid, turned about the z axis by `degrees`, with axes that may run backwards."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(np.asarray(spacing_mm) * flips)
    affine[:3, 3] = (-11.5, 7.25, 30.0)
    return Grid(shape, affine)


def ellipsoid(on: Grid, centre=(0.5, 0.5, 0.5), radius=(0.3, 0.3, 0.3)) -> np.ndarray:
    """A boolean ellipsoid; centre and radius in shares of the field of view."""
    axes = [(np.arange(n) + 0.5) / n for n in on.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radius, strict=True)) <= 1


def scan(on: Grid | None = None, channels=1, seed=0) -> tuple[Volume, LabelMap]:
    """An image of one bright ellipsoid in noise, and its mask with label 1."""
    on = on or grid()
    rng = np.random.default_rng(seed)
    centre = 0.5 + rng.uniform(-0.1, 0.1, 3)
    mask = ellipsoid(on, centre)
    image = np.stack([100 * mask * (1 + c) + rng.normal(0, 10, on.shape) for c in range(channels)])
    return Volume(image.astype(np.float32), on), LabelMap(mask.astype(np.uint8), on)


def real_data(name: str) -> Path:
    """A folder of real scans, or a skip with the reason."""
    root = Path(os.environ.get("SEGTRAIN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    folder = root / name
    if not folder.exists():
        pytest.skip(f"the real scans are not here: {folder} (set SEGTRAIN_DATA)")
    return folder
