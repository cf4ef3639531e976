"""What a data set is like: the facts that a plan is made from, one record a case."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid
from segtrain.core.seeds import generator
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.core.volume import LabelMap, Volume

SAMPLES_PER_CASE = 5_000
"""Foreground voxels per case and channel that stand for its intensities, at most (nnU-Net takes 10 000)."""
SAMPLES = 1_000_000
"""Of all cases together and per channel, so that a large set needs no more memory than 200 cases."""


@dataclass(frozen=True, eq=False)
class CaseFingerprint:
    """One case on canonical axes."""

    case: str
    grid: Grid
    minimum: tuple[float, ...]
    """Smallest value of each channel."""
    foreground_samples: NDArray[np.float32]
    """(channels, n) intensities of labelled voxels, or of all voxels where nothing is labelled."""
    content: tuple[str, ...] = ()
    """Of each channel, a hash of its values, however the file is oriented; "" where they are all the same, and tell no
    image from another."""
    instances: frozenset[str] = frozenset()
    """Short hashes of the UIDs of the DICOM files that it was read from."""


@dataclass(frozen=True, eq=False)
class DatasetFingerprint:
    """All cases, and the medians a plan asks for."""

    channels: tuple[str, ...]
    cases: tuple[CaseFingerprint, ...]

    @property
    def spacings_mm(self) -> NDArray[np.float64]:
        """(cases, 3)."""
        return np.array([c.grid.spacing_mm for c in self.cases])

    @property
    def sizes_mm(self) -> NDArray[np.float64]:
        """(cases, 3): extent of the field of view."""
        return np.array([c.grid.shape for c in self.cases]) * self.spacings_mm

    def samples(self, channel: int) -> NDArray[np.float32]:
        """Foreground intensities of all cases."""
        return np.concatenate([c.foreground_samples[channel] for c in self.cases])


def samples_per_case(cases: int) -> int:
    """Voxels that each of so many cases gives."""
    return min(SAMPLES_PER_CASE, max(1, SAMPLES // max(1, cases)))


def fingerprint_case(
    case: str, image: Volume, labels: LabelMap, task: Task, samples: int = SAMPLES_PER_CASE
) -> CaseFingerprint:
    """Take the facts of one case; which voxels are sampled depends on its id and their number alone."""
    classes = task.to_classes(labels.array)
    flat = image.array.reshape(image.array.shape[0], -1)
    labelled = np.flatnonzero((classes > 0) & (classes != IGNORED_CLASS))
    pool = labelled if labelled.size else np.arange(classes.size)
    rng = generator(0, "fingerprint", case)
    chosen = rng.choice(pool, size=min(samples, pool.size), replace=False)
    return CaseFingerprint(
        case=case,
        grid=image.grid.canonical(),
        minimum=tuple(float(m) for m in flat.min(axis=1)),
        foreground_samples=flat[:, chosen].astype(np.float32),
        content=tuple(content_hash(image.grid.turned(channel)) for channel in image.array),
        instances=frozenset(_short(uid) for origin in image.origins for uid in origin.instance_uids),
    )


def _short(uid: str) -> str:
    """Equal for equal UIDs; the UID itself, which may lead to a patient, stays in the files."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def content_hash(channel: NDArray[np.generic]) -> str:
    """sha256 of the values (X, Y, Z) as float32, whatever file and type they came from; "" where all are alike."""
    if channel.min() == channel.max():
        return ""
    digest = hashlib.sha256(str(channel.shape).encode())
    for plane in channel:  # one after the other: a whole scan in float32 is large
        digest.update(np.ascontiguousarray(plane, dtype="<f4").tobytes())
    return digest.hexdigest()


def fingerprint(channels: Sequence[str], cases: Iterable[CaseFingerprint]) -> DatasetFingerprint:
    """Collect the records of all cases, in order of their ids."""
    return DatasetFingerprint(tuple(channels), tuple(sorted(cases, key=lambda c: c.case)))
