"""Two masks laid over each other: cut to what they hold, counted once, and asked for one structure after the other.

Most of a scan is background in both masks. It is left out at once, and each structure is then looked at in the box
around itself alone: that box decides how long its distances take, and no distance changes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrain.core.distance import bounding_box
from segtrain.metrics.counts import Counts, Histogram, Mask, Places, counts_of, joint_histogram, places_of

Members = NDArray[np.bool_]
Box = tuple[slice, ...]

BACKGROUND = 0
"""The id that fills what is left out."""


@dataclass(frozen=True, eq=False)
class Overlaid:
    """Prediction and reference as places (`counts.places_of`) in the box that holds every id but the background.

    Voxels that are to be ignored are at the place of no label, in both masks.
    """

    prediction: Places
    reference: Places
    histogram: Histogram
    spacing_mm: tuple[float, ...]
    """Along the axes of the two arrays."""

    def counts(self, members: Sequence[int]) -> Counts:
        """Of the labels at these places, taken together."""
        return counts_of(self.histogram, members)

    def masks(self, members: Sequence[int]) -> tuple[Members, Members]:
        """The same as two masks, cut to the box around both. At least one of them holds a voxel."""
        chosen = np.zeros(len(self.histogram), dtype=np.bool_)
        chosen[list(members)] = True
        box = self._box(members)
        return chosen[self.prediction[box]], chosen[self.reference[box]]

    def _box(self, members: Sequence[int]) -> Box:
        found = [boxes[place] for boxes in self._boxes for place in members if boxes[place] is not None]
        sides = zip(*found, strict=True)
        return tuple(slice(min(s.start for s in side), max(s.stop for s in side)) for side in sides)

    @cached_property
    def _boxes(self) -> tuple[list[Box], list[Box]]:
        """Around each place, in each mask; None where it does not occur."""
        labels = len(self.histogram) - 1
        wide = np.min_scalar_type(labels + 1)
        return tuple(ndimage.find_objects(mask.astype(wide) + 1, labels) for mask in (self.prediction, self.reference))


@dataclass(frozen=True, eq=False)
class Cut:
    """Two masks of label ids, in the box that holds every id but the background."""

    prediction: Mask
    reference: Mask
    spacing_mm: tuple[float, ...]
    outside: int
    """Voxels beyond the box, background in both."""


def cut_to_labels(prediction: Mask, reference: Mask, spacing_mm: Sequence[float]) -> Cut:
    """Leave out what is background in both masks, which have one shape."""
    box = _box_of(prediction, reference)
    ours, theirs = (np.ascontiguousarray(mask[box]) for mask in (prediction, reference))
    return Cut(ours, theirs, tuple(spacing_mm), prediction.size - ours.size)


def overlay(cut: Cut, ids: Sequence[int], ignore: int | None = None) -> Overlaid:
    """Lay the two masks over each other. Voxels whose reference is `ignore` count nowhere."""
    valid = None if ignore is None else cut.reference != ignore
    places = [places_of(mask, ids) for mask in (cut.prediction, cut.reference)]
    histogram = joint_histogram(places[0], places[1], len(ids) + 1, valid)
    if valid is not None:
        for mask in places:
            mask[~valid] = len(ids)
    background = list(ids).index(BACKGROUND) if BACKGROUND in ids else len(ids)
    if ignore != BACKGROUND:
        histogram[background, background] += cut.outside
    return Overlaid(places[0], places[1], histogram, cut.spacing_mm)


def _box_of(prediction: Mask, reference: Mask) -> Box:
    """The box around everything that is not background; one voxel where there is nothing else."""
    same = prediction.dtype == reference.dtype
    held = (prediction | reference) != BACKGROUND if same else (prediction != BACKGROUND) | (reference != BACKGROUND)
    return bounding_box(held) or (slice(0, 1),) * prediction.ndim
