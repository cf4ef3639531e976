"""Draw: which random change a sample gets, as plain numbers. All randomness of augmentation lives here.

A change follows from (seed, number of the sample) alone, so that a resumed run, every loss of a sweep and every process
of a run on several devices draw the same. What is not drawn is None; its numbers are taken from the generator all the
same, so that a kind that is switched off does not shift the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from segtrain.core.seeds import generator
from segtrain.data.augment.frame import PatchFrame
from segtrain.data.augment.separable import control_points
from segtrain.data.settings import (
    AugmentSettings,
    BlurSettings,
    Factors,
    LowResolutionSettings,
    Range,
)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Bend:
    """A smooth displacement of voxels: a cubic B-spline."""

    points_voxels: float
    """From one control point to the next."""
    displacements: NDArray[np.float64]
    """(d, *points): of each control point along the axes that move, in voxels."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the voxels of a patch come from: bent first, then turned and scaled about its centre."""

    degrees: tuple[float, ...]
    """About each axis in turn, the first one first; one angle where two axes move."""
    field_of_view: float
    bend: Bend | None


@dataclass(frozen=True)
class Noise:
    """A Gaussian field."""

    deviation: float
    seed: int


@dataclass(frozen=True)
class ChannelChange:
    """What happens to the values of one channel."""

    sigma_voxels: tuple[float, ...] | None = None
    zoom: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    inverted_gamma: float | None = None
    gamma: float | None = None


@dataclass(frozen=True, eq=False)
class Change:
    """What happens to one patch."""

    motion: Motion | None
    noise: Noise | None
    channels: tuple[ChannelChange, ...]
    mirrored: tuple[int, ...]
    """Patch axes."""


def unchanged(channels: int) -> Change:
    """The change that leaves a patch as it is."""
    return Change(None, None, (ChannelChange(),) * channels, ())


def draw(settings: AugmentSettings, frame: PatchFrame, seed: int, index: int) -> Change:
    """The change of sample `index`. Where the share is open, every one may change."""
    rng = generator(seed, "augmentation", index)
    changes = rng.random() < (1.0 if settings.share is None else settings.share)
    motion = _motion(rng, settings, frame)
    noise = _maybe(rng, settings.noise.probability, Noise(_within(rng, settings.noise.deviation), _seed(rng)))
    channels = _channels(rng, settings, frame)
    mirrored = tuple(
        axis for axis, name in enumerate(frame.canonical) if rng.random() < 0.5 and name in settings.mirror_axes
    )
    return Change(motion, noise, channels, mirrored) if changes else unchanged(frame.channels)


def _motion(rng: np.random.Generator, settings: AugmentSettings, frame: PatchFrame) -> Motion | None:
    turn, scale = settings.rotation, settings.scale
    count = 3 if len(frame.moving) == 3 else 1
    angles = tuple(rng.uniform(-turn.degrees, turn.degrees, size=count).tolist())
    degrees = _maybe(rng, turn.probability, angles)
    field_of_view = _maybe(rng, scale.probability, _within(rng, scale.field_of_view))
    displacement, seed = _within(rng, settings.elastic.displacement), _seed(rng)
    bent = _maybe(rng, settings.elastic.probability, displacement)
    if degrees is None and field_of_view is None and bent is None:
        return None
    bend = None if bent is None else _bend(frame, settings.elastic.points_voxels, bent, seed)
    return Motion(degrees or (0.0,) * count, field_of_view or 1.0, bend)


def _bend(frame: PatchFrame, points_voxels: float, displacement: float, seed: int) -> Bend:
    """Its numbers are a stream of their own: how many points there are must not shift what is drawn after them."""
    points = [control_points(frame.size[axis], points_voxels) for axis in frame.moving]
    reach = displacement * points_voxels
    return Bend(points_voxels, generator(seed, "bend").uniform(-reach, reach, size=(len(points), *points)))


def _channels(rng: np.random.Generator, settings: AugmentSettings, frame: PatchFrame) -> tuple[ChannelChange, ...]:
    """Whether a kind is drawn is asked for all channels together, its numbers are each channel's own."""
    count, gamma = frame.channels, settings.gamma
    blurred = _maybe(rng, settings.blur.probability, _blur(rng, settings.blur, frame))
    zoomed = _maybe(rng, settings.low_resolution.probability, _zooms(rng, settings.low_resolution, count))
    brightness = _maybe(rng, settings.brightness.probability, _factors(rng, settings.brightness.factor, count))
    contrast = _maybe(rng, settings.contrast.probability, _factors(rng, settings.contrast.factor, count))
    inverted = _maybe(rng, gamma.inverted_probability, _factors(rng, gamma.exponent, count))
    exponents = _maybe(rng, gamma.probability, _factors(rng, gamma.exponent, count))
    none = (None,) * count
    kinds = (blurred or none, zoomed or none, brightness or none, contrast or none, inverted or none, exponents or none)
    return tuple(ChannelChange(*values) for values in zip(*kinds, strict=True))


def _blur(rng: np.random.Generator, settings: BlurSettings, frame: PatchFrame) -> tuple[tuple[float, ...] | None, ...]:
    sigmas = rng.uniform(*settings.sigma_voxels, size=(frame.channels, len(frame.size))).tolist()
    return tuple(_maybe(rng, settings.channel_probability, tuple(sigma)) for sigma in sigmas)


def _zooms(rng: np.random.Generator, settings: LowResolutionSettings, count: int) -> tuple[float | None, ...]:
    return tuple(_maybe(rng, settings.channel_probability, _within(rng, settings.zoom)) for _ in range(count))


def _factors(rng: np.random.Generator, bounds: Factors, count: int) -> tuple[float, ...]:
    """Where the range reaches below 1 and above, half of them are below (nnU-Net's BGContrast)."""
    return tuple(_factor(rng, *bounds) for _ in range(count))


def _factor(rng: np.random.Generator, low: float, high: float) -> float:
    below, place = rng.random() < 0.5, rng.random()
    if low < 1 < high:
        low, high = (low, 1.0) if below else (1.0, high)
    return low + (high - low) * place


def _within(rng: np.random.Generator, bounds: Range) -> float:
    return float(rng.uniform(*bounds))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**62))


def _maybe(rng: np.random.Generator, probability: float, drawn: T) -> T | None:
    """What was drawn, or None: always one number is asked for."""
    return drawn if rng.random() < probability else None
