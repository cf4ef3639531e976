"""Which patch a training sample is: a pure function of (seed, sample index).

Nothing is consumed and nothing remembered. Sample 17 of seed 0 is the same patch after a resume, in every run
of a sweep and on any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from segtrain.core.plan import Plan
from segtrain.core.seeds import generator
from segtrain.data.settings import PatchSettings
from segtrain.data.store import StoredCase

T = TypeVar("T", bound=np.generic)


class Patch(NamedTuple):
    """A cut of a case. Beyond the scan both are 0: the mean intensity, and background."""

    case: str
    image: NDArray[np.float32]
    """(channels, *S); S has two axes for a 2D plan."""
    classes: NDArray[np.uint8]
    """(*S)."""


class PatchSampler:
    """Cuts patches of the plan's size out of stored cases."""

    def __init__(self, cases: Sequence[StoredCase], plan: Plan, settings: PatchSettings, seed: int) -> None:
        self._cases = sorted(cases, key=lambda c: c.case)
        self._size = np.array(plan.patch_size)
        self._slice_axis = plan.slice_axis
        self._foreground_share = settings.foreground_share
        self._seed = seed

    def case_of(self, index: int) -> StoredCase:
        """The case of a sample: all cases once, in a new order, before any comes again."""
        round_number, place = divmod(index, len(self._cases))
        order = generator(self._seed, "case order", round_number).permutation(len(self._cases))
        return self._cases[int(order[place])]

    def cut(self, index: int) -> Patch:
        """The patch of one sample, of the plan's size."""
        return self.cut_wider(index, (0, 0, 0) if self._slice_axis is None else (0, 0))

    def cut_wider(self, index: int, margin: Sequence[int]) -> Patch:
        """The same with more voxels at both ends of each axis of the patch, or fewer where a margin is negative."""
        case = self.case_of(index)
        around = np.array(margin)
        if self._slice_axis is not None:
            around = np.insert(around, self._slice_axis, 0)
        start = self._start(case, generator(self._seed, "patch", index)) - around
        size = self._size + 2 * around
        image, classes = cut_box(case.image, start, size), cut_box(case.classes, start, size)
        if self._slice_axis is not None:
            image, classes = image.squeeze(1 + self._slice_axis), classes.squeeze(self._slice_axis)
        return Patch(case.case, image, classes)

    def _start(self, case: StoredCase, rng: np.random.Generator) -> NDArray[np.int64]:
        """First voxel of the patch; it reaches beyond the scan only on axes where the scan is smaller."""
        slack = np.array(case.classes.shape) - self._size
        low, high = np.minimum(0, slack), np.maximum(0, slack)
        anywhere = rng.integers(low, high + 1)
        centres = case.centres
        if len(centres) == 0 or rng.random() >= self._foreground_share:
            return np.asarray(anywhere)
        present = np.unique(centres[:, 0])
        rows = centres[centres[:, 0] == rng.choice(present)]
        centre = rows[rng.integers(len(rows)), 1:]
        return np.asarray(np.clip(centre - self._size // 2, low, high))


def cut_box(array: NDArray[T], start: NDArray[np.int64], size: NDArray[np.int64]) -> NDArray[T]:
    """A box of `size` from voxel `start` of the last axes, filled with 0 beyond the array."""
    before, shape = array.shape[: -len(size)], array.shape[-len(size) :]
    box = np.zeros((*before, *size), dtype=array.dtype)
    first = np.maximum(start, 0)
    last = np.maximum(first, np.minimum(start + size, shape))
    whole = [slice(None)] * len(before)
    inside = (*whole, *(slice(a, b) for a, b in zip(first, last, strict=True)))
    target = (*whole, *(slice(a, b) for a, b in zip(first - start, last - start, strict=True)))
    box[target] = array[inside]
    return box
