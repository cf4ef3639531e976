"""The embedded sample data: a small abdomen that anybody can make from a seed, and no patient ever had.

Two organs of different size and 0 to 4 small lesions of low contrast, in noise and under a bias field, on grids
of different spacing, some of them oblique: small enough for a CPU, and hard enough that losses differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrain.core.grid import Grid
from segtrain.core.seeds import generator
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import write_nifti, write_nifti_image

Array = NDArray[np.float64]

LABELS = {"background": 0, "liver": 1, "kidney": 2, "lesion": 3}
PATIENTS = 16
TRAINING_PATIENTS = 12
"""Odd patients have two time points: 18 cases to train with, 6 to test on."""
FIELD_OF_VIEW_MM = 60.0
BODY_MM = (28.0, 24.0, 90.0)
GREY = {"air": 4.0, "body": 60.0, "liver": 105.0, "kidney": 150.0}
LESION_CONTRAST = (-34.0, -20.0)
"""Added to the organ's grey; the noise has a deviation of 9."""
NOISE = 9.0


@dataclass(frozen=True)
class Ball:
    """An ellipsoid; centre and half axes in mm, in the frame of the patient (R, A, S)."""

    centre: Array
    radius: Array

    def inside(self, positions: Array) -> NDArray[np.bool_]:
        """Which positions (..., 3) lie in it."""
        scaled = (positions - self.centre) / self.radius
        inside: NDArray[np.bool_] = (scaled**2).sum(axis=-1) <= 1
        return inside


@dataclass(frozen=True)
class Anatomy:
    """What stays the same between two scans of a patient."""

    liver: Ball
    kidney: Ball
    lesions: tuple[Ball, ...]
    waves: Array
    """(n, 7): direction of displacement, wave vector, phase: they make organs of ellipsoids."""


def write_demo(folder: Path, seed: int = 0) -> None:
    """Write 24 scans of 16 patients with their masks; equal seeds give equal files.

    `images/` and `labels/` hold 18 cases to train with, `test/images/` and `test/labels/` 6 cases of other
    patients. Ids are `P03_t0`: the patient and the time point. Raises ResourceError.
    """
    for number in range(1, PATIENTS + 1):
        place = folder if number <= TRAINING_PATIENTS else folder / "test"
        for time in range(1 + number % 2):
            case = f"P{number:02}_t{time}"
            image, labels = demo_scan(number, time, seed)
            write_nifti_image(place / "images" / f"{case}.nii.gz", image)
            write_nifti(place / "labels" / f"{case}.nii.gz", labels)


def demo_scan(patient: int, time: int, seed: int = 0) -> tuple[Volume, LabelMap]:
    """One scan and its mask, of the same anatomy at every `time`; lesions grow or shrink."""
    rng = generator(seed, "demo", patient, "scan", time)
    anatomy = _anatomy(generator(seed, "demo", patient, "anatomy"))
    grid = _grid(rng)
    positions = _positions(grid)
    growth = rng.uniform(0.9, 1.5) if time else 1.0
    labels, grey = _paint(anatomy, positions, growth, contrast=rng.uniform(*LESION_CONTRAST))
    seen = ndimage.gaussian_filter(grey, sigma=0.5 / np.asarray(grid.spacing_mm))
    seen = seen * _bias(positions, rng) + rng.normal(0, NOISE, grid.shape)
    stored = np.clip(np.round(seen * rng.uniform(0.8, 4.0)), 0, 4095).astype(np.int16)
    return Volume(stored[np.newaxis], grid), LabelMap(labels, grid)


def _anatomy(rng: np.random.Generator) -> Anatomy:
    liver = Ball(
        np.array([9.0, 2.0, 3.0]) + rng.uniform(-2, 2, 3), np.array([13.0, 15.0, 17.0]) * rng.uniform(0.85, 1.1, 3)
    )
    kidney = Ball(
        np.array([-13.0, -7.0, -3.0]) + rng.uniform(-2, 2, 3), np.array([6.5, 7.5, 13.0]) * rng.uniform(0.85, 1.1, 3)
    )
    count = int(rng.choice(5, p=[0.1, 0.2, 0.3, 0.2, 0.2]))
    lesions = tuple(_lesion((liver, kidney)[int(rng.random() < 0.25)], rng) for _ in range(count))
    waves = np.concatenate(
        [rng.normal(0, 0.8, (6, 3)), rng.normal(0, 0.13, (6, 3)), rng.uniform(0, 6.3, (6, 1))], axis=1
    )
    return Anatomy(liver, kidney, lesions, waves)


def _lesion(organ: Ball, rng: np.random.Generator) -> Ball:
    """A small ball within an organ or at its edge."""
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    centre = organ.centre + organ.radius * direction * rng.uniform(0.2, 0.95)
    return Ball(centre, rng.uniform(2.4, 5.0) * rng.uniform(0.85, 1.2, 3))


def _grid(rng: np.random.Generator) -> Grid:
    """Around the origin: in-plane 0.9 to 1.3 mm, slices 2 to 4 mm; about half are flipped and a third oblique."""
    in_plane, between = rng.uniform(0.9, 1.3), rng.uniform(2.0, 4.0)
    columns = int(np.clip(round(FIELD_OF_VIEW_MM / in_plane), 48, 64))
    slices = int(np.clip(round(FIELD_OF_VIEW_MM / between), 16, 28))
    flips = np.array([-1, -1, 1]) if rng.random() < 0.5 else np.ones(3)
    turn = _rotation(rng.uniform(-15, 15, 3)) if rng.random() < 0.35 else np.eye(3)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(flips * [in_plane, in_plane, between])
    shape = (columns, columns, slices)
    affine[:3, 3] = rng.uniform(-1, 1, 3) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(shape, affine.astype(np.float32).astype(np.float64))


def _rotation(degrees: Array) -> Array:
    """About the three axes, one after the other."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[one, one] = step[other, other] = np.cos(angle)
        step[other, one], step[one, other] = np.sin(angle), -np.sin(angle)
        turn = step @ turn
    return turn


def _positions(grid: Grid) -> Array:
    """(X, Y, Z, 3) in mm."""
    index = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float64) for n in grid.shape], indexing="ij"), axis=-1)
    return grid.positions_mm(index.reshape(-1, 3)).reshape(index.shape)


def _paint(anatomy: Anatomy, positions: Array, growth: float, *, contrast: float) -> tuple[NDArray[np.uint8], Array]:
    """Label ids and greys; a lesion counts where it lies in the body, and darkens what it lies in."""
    waves = anatomy.waves
    bent = positions + np.sin(positions @ waves[:, 3:6].T + waves[:, 6]) @ waves[:, :3]
    body = Ball(np.zeros(3), np.asarray(BODY_MM)).inside(bent)
    labels = np.zeros(body.shape, dtype=np.uint8)
    grey = np.where(body, GREY["body"], GREY["air"])
    for name, organ in (("liver", anatomy.liver), ("kidney", anatomy.kidney)):
        inside = organ.inside(bent) & body
        labels[inside] = LABELS[name]
        grey[inside] = GREY[name]
    lesion = _any_of(anatomy.lesions, bent, growth) & (labels > 0)
    grey[lesion] += contrast
    labels[lesion] = LABELS["lesion"]
    return labels, grey


def _any_of(balls: Sequence[Ball], positions: Array, growth: float) -> NDArray[np.bool_]:
    found = np.zeros(positions.shape[:-1], dtype=np.bool_)
    for ball in balls:
        found |= Ball(ball.centre, ball.radius * growth ** (1 / 3)).inside(positions)
    return found


def _bias(positions: Array, rng: np.random.Generator) -> Array:
    """A smooth factor of at most about 0.75 to 1.25, as coils give it."""
    scaled = positions / FIELD_OF_VIEW_MM
    slope, bend = rng.uniform(-0.25, 0.25, 3), rng.uniform(-0.3, 0.3, 3)
    field: Array = 1 + scaled @ slope + (scaled**2) @ bend
    return field
