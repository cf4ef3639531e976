"""Voxel counts: one pass over two masks, from which every overlap and volume metric is read.

The pass is a joint histogram of (place of the prediction's label, place of the reference's), so that a hundred labels
cost what one does. A *place* is the index of a label in the ids that are scored, or their number for any other id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_VOXELS = 1 << 22
"""Voxels per block of the pass: about 70 MB of temporary arrays."""

TABLE_IDS = 1 << 16
"""Ids up to here are looked up in a table; sparser ones by bisection."""

Mask = NDArray[np.integer[Any]]
Places = NDArray[np.unsignedinteger[Any]]
Histogram = NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """Voxels of one structure: in both masks (tp), only in the prediction (fp), only in the reference (fn), in none."""

    tp: int
    fp: int
    fn: int
    tn: int = 0

    @property
    def prediction(self) -> int:
        """Voxels of the prediction."""
        return self.tp + self.fp

    @property
    def reference(self) -> int:
        """Voxels of the reference."""
        return self.tp + self.fn


def joint_histogram(
    prediction: Places, reference: Places, size: int, valid: NDArray[np.bool_] | None = None
) -> Histogram:
    """Voxels (size, size) by (place in the prediction, place in the reference); those that are `valid`."""
    total = np.zeros(size * size, dtype=np.int64)
    flat = [places.reshape(-1) for places in (prediction, reference)]
    counted = None if valid is None else valid.reshape(-1)
    for start in range(0, prediction.size, BLOCK_VOXELS):
        here = slice(start, start + BLOCK_VOXELS)
        pairs = flat[0][here].astype(np.intp) * size + flat[1][here]
        total += np.bincount(pairs if counted is None else pairs[counted[here]], minlength=size * size)
    return total.reshape(size, size)


def counts_of(histogram: Histogram, places: Sequence[int]) -> Counts:
    """The counts of the labels at `places`, taken together."""
    own = list(places)
    tp = int(histogram[np.ix_(own, own)].sum())
    fp, fn = int(histogram[own].sum()) - tp, int(histogram[:, own].sum()) - tp
    return Counts(tp, fp, fn, int(histogram.sum()) - tp - fp - fn)


def places_of(labels: Mask, ids: Sequence[int]) -> Places:
    """The place in `ids` of each voxel's label; `len(ids)` where it is none of them."""
    known = np.asarray(ids, dtype=np.int64)
    other = len(known)
    dtype = np.min_scalar_type(other)
    low, high = (int(known.min()), int(known.max())) if other else (0, 0)
    if high - low >= TABLE_IDS:
        order = np.argsort(known)
        found = np.searchsorted(known, labels, sorter=order).clip(max=other - 1)
        place = order[found]
        return np.where(known[place] == labels, place, other).astype(dtype)
    if labels.dtype == np.uint8:  # the usual mask: no id can lie beyond the table
        table = np.full(256, other, dtype=dtype)
        inside = (known >= 0) & (known < 256)
        table[known[inside]] = np.flatnonzero(inside)
        return table[labels]
    table = np.full(high - low + 3, other, dtype=dtype)
    table[known - low + 1] = np.arange(other)
    places: Places = table[_wide(labels).clip(low - 1, high + 1) - (low - 1)]
    return places


def _wide(labels: Mask) -> NDArray[np.int64]:
    """Ids as int64; the few that uint64 can hold beyond it are nobody's label."""
    limit = np.iinfo(np.int64).max
    within = np.minimum(labels, np.asarray(limit, dtype=labels.dtype)) if labels.dtype == np.uint64 else labels
    return within.astype(np.int64)
