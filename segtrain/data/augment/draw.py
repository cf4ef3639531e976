"""Draw: which random change a sample gets, as plain numbers. All randomness of augmentation lives here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from segtrain.core.seeds import generator
from segtrain.data.settings import AugmentSettings


@dataclass(frozen=True, eq=False)
class Change:
    """What happens to one patch."""

    matrix: NDArray[np.float64] | None
    """(d, d) output voxel offset from the centre -> input offset; None leaves the geometry alone."""
    flips: tuple[int, ...]
    """Patch axes that are mirrored."""
    factor: float
    """Contrast, about the patch's mean."""
    shift: float
    """Brightness, in standard deviations."""
    exponent: float
    """Gamma, on the patch's own range."""
    noise: float
    """Standard deviation of Gaussian noise."""
    noise_seed: int


def draw(settings: AugmentSettings, axes: tuple[int, ...], seed: int, index: int) -> Change:
    """The change of sample `index`. `axes` are the canonical axes of the patch: three, or two in a slice."""
    rng = generator(seed, "augmentation", index)
    spatial = rng.random() < settings.spatial_probability
    matrix = _matrix(settings, axes, rng)
    flips = tuple(i for i, axis in enumerate(axes) if axis in settings.flip_axes and rng.random() < 0.5)
    return Change(
        matrix=matrix if spatial else None,
        flips=flips,
        factor=_maybe(rng, settings, _ratio(rng, settings.contrast), 1.0),
        shift=_maybe(rng, settings, float(rng.uniform(-settings.brightness, settings.brightness)), 0.0),
        exponent=_maybe(rng, settings, _ratio(rng, settings.gamma), 1.0),
        noise=_maybe(rng, settings, float(rng.uniform(0, settings.noise)), 0.0),
        noise_seed=int(rng.integers(2**62)),
    )


def _matrix(settings: AugmentSettings, axes: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    angles = np.deg2rad(rng.uniform(-settings.rotation_degrees, settings.rotation_degrees, size=3))
    size = _ratio(rng, settings.scale)
    if len(axes) == 2:
        sine, cosine = np.sin(angles[0]), np.cos(angles[0])
        return np.array([[cosine, -sine], [sine, cosine]]) / size
    turned: NDArray[np.float64] = Rotation.from_euler("xyz", angles).as_matrix() / size
    return turned


def _ratio(rng: np.random.Generator, spread: float) -> float:
    """Log-uniform between 1 / (1 + spread) and 1 + spread: larger and smaller are equally likely."""
    return float(np.exp(rng.uniform(-1, 1) * np.log1p(spread)))


def _maybe(rng: np.random.Generator, settings: AugmentSettings, value: float, neutral: float) -> float:
    return value if rng.random() < settings.intensity_probability else neutral
