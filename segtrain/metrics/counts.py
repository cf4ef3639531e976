"""Voxel counts: one pass over two masks, from which every overlap and volume metric is read.

The pass is a joint histogram of (label in the prediction, label in the reference), so that a hundred labels cost
what one does. It runs in blocks: memory stays bounded whatever the size of the scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

BLOCK_VOXELS = 1 << 22
"""Voxels per block of the pass: about 100 MB of temporary arrays."""

TABLE_IDS = 1 << 16
"""Ids up to here are looked up in a table; sparser ones by bisection."""

Mask = NDArray[np.integer[Any]]
Histogram = NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """Voxels of one structure: in both masks (tp), only in the prediction (fp), only in the reference (fn)."""

    tp: int
    fp: int
    fn: int

    @property
    def prediction(self) -> int:
        """Voxels of the prediction."""
        return self.tp + self.fp

    @property
    def reference(self) -> int:
        """Voxels of the reference."""
        return self.tp + self.fn


def joint_histogram(
    prediction: Mask, reference: Mask, ids: Sequence[int], valid: NDArray[np.bool_] | None = None
) -> Histogram:
    """Voxels by (place in `ids` of the prediction's label, the same of the reference's); those that are `valid`.

    The last row and column hold every id that is not in `ids`.
    """
    size = len(ids) + 1
    order: Literal["C", "F"] = "F" if prediction.flags.f_contiguous and reference.flags.f_contiguous else "C"
    flat = [array.ravel(order) for array in (prediction, reference)]
    counted = None if valid is None else valid.ravel(order)
    total = np.zeros(size * size, dtype=np.int64)
    for start in range(0, prediction.size, BLOCK_VOXELS):
        here = slice(start, start + BLOCK_VOXELS)
        rows, columns = (_places(array[here], ids) for array in flat)
        pairs = rows * size + columns
        total += np.bincount(pairs if counted is None else pairs[counted[here]], minlength=size * size)
    return total.reshape(size, size)


def counts_of(histogram: Histogram, places: Sequence[int]) -> Counts:
    """The counts of the labels at `places`, taken together."""
    own = list(places)
    tp = int(histogram[np.ix_(own, own)].sum())
    return Counts(tp, int(histogram[own].sum()) - tp, int(histogram[:, own].sum()) - tp)


def _places(labels: Mask, ids: Sequence[int]) -> NDArray[np.int64]:
    """The place in `ids` of each voxel's label; `len(ids)` where it is none of them."""
    known = np.asarray(ids, dtype=np.int64)
    other = len(known)
    low, high = (int(known.min()), int(known.max())) if other else (0, 0)
    if high - low >= TABLE_IDS:
        order = np.argsort(known)
        found = np.searchsorted(known, labels, sorter=order).clip(max=other - 1)
        place = order[found]
        return np.where(known[place] == labels, place, other)
    table = np.full(high - low + 3, other, dtype=np.int64)
    table[known - low + 1] = np.arange(other)
    places: NDArray[np.int64] = table[_wide(labels).clip(low - 1, high + 1) - (low - 1)]
    return places


def _wide(labels: Mask) -> NDArray[np.int64]:
    """Ids as int64; the few that uint64 can hold beyond it are nobody's label."""
    limit = np.iinfo(np.int64).max
    within = np.minimum(labels, np.asarray(limit, dtype=labels.dtype)) if labels.dtype == np.uint64 else labels
    return within.astype(np.int64)
