"""In how many blocks a scan is predicted, so that the open logits of all networks fit into a budget. Torch-free.

Planes are given away along one axis, so that only as many are open as a window is thick. Where even these are too
many, the scan is divided along the other two axes; windows across a border are then read for both blocks, so the
division that needs the fewest windows is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from segtrain.core.errors import OutOfMemory, Problem
from segtrain.core.resample import AxisMap
from segtrain.inference.sliding_window import window_starts

Range = tuple[int, int]

CHUNK_BYTES = 2**26
"""Logits that are brought onto the scan's own grid at once."""

MAX_PARTS = 64
"""Of an axis."""

STREAM_AXES = (1, 2)
"""Axes of a scan along which planes may be given away. Along the first, which varies fastest in a NIfTI file, each
write of probabilities would touch the whole file."""


@dataclass(frozen=True, eq=False)
class Extent:
    """What decides how much memory the logits of one network on one scan take."""

    maps: tuple[AxisMap, ...]
    """From the network's grid to the scan's, by axis of the scan."""
    shape: tuple[int, int, int]
    """Of the prepared scan."""
    window: tuple[int, int, int]
    overlap: float
    outputs: int
    itemsize: int
    """Bytes of a blended logit."""

    def open_bytes(self, along: int, sides: Sequence[int]) -> int:
        """Blended logits and weights of planes along an axis of the scan, of which the other sides are given."""
        axis_map = self.maps[along]
        taken = self.window[axis_map.axis] + _taps_span(axis_map)
        voxels = min(self.shape[axis_map.axis], taken) * sides[0] * sides[1]
        return voxels * (self.outputs * self.itemsize + 4)

    @property
    def answer_bytes(self) -> int:
        """The network's answer to one window."""
        return 4 * self.outputs * self.window[0] * self.window[1] * self.window[2]


@dataclass(frozen=True)
class Blocks:
    """A division of a scan."""

    along: int
    """Axis of the scan along which planes are given away."""
    boxes: tuple[tuple[Range, Range, Range], ...]
    """In voxels of the scan."""
    open_bytes: int
    """Of the largest block, all networks together."""


@dataclass(frozen=True)
class _Parts:
    """An axis of the scan, divided."""

    ranges: tuple[Range, ...]
    sides: tuple[int, ...]
    """For each network, how many voxels of its grid the largest part needs."""
    windows: tuple[int, ...]
    """For each network, the windows along this axis that are read for all parts together."""


def undivided(extents: Sequence[Extent]) -> Blocks:
    """The whole scan as one block. The axis follows from the sizes alone, so that no memory changes a number."""
    return min((_whole(extents, axis) for axis in STREAM_AXES), key=lambda whole: (whole.open_bytes, -whole.along))


def divided(extents: Sequence[Extent], budget: int) -> Blocks:
    """The division that needs the fewest windows among those that fit. ResourceError where none does."""
    whole = undivided(extents)
    if whole.open_bytes <= budget:
        return whole
    along = whole.along
    one, other = (axis for axis in range(3) if axis != along)
    choices = [
        (_windows(extents, *pair), _open_bytes(extents, along, *pair), pair)
        for pair in product(_divisions(extents, one), _divisions(extents, other))
    ]
    fitting = [choice for choice in choices if choice[1] <= budget]
    if not fitting:
        least = min(taken for _, taken, _ in choices)
        what = f"predicting this scan takes at least {_mib(least)} MiB for its logits alone"
        why = f"{_mib(budget)} MiB are allowed or free; {max(e.outputs for e in extents)} outputs"
        hint = f"inference.memory_mib={_mib(least)} on a machine that has as much, or a smaller overlap"
        raise OutOfMemory(Problem(what, "inference.memory_mib", why, hint))
    _, _, (first, second) = min(fitting, key=lambda choice: (choice[0], -choice[1]))
    return _blocks(extents, along, {one: first, other: second})


def chunks(box: tuple[Range, Range, Range], extents: Sequence[Extent], along: int) -> Iterator[tuple[Range, ...]]:
    """A block as boxes of few planes along an axis, in the order in which the networks' planes become known."""
    first, stop = box[along]
    count = max(1, CHUNK_BYTES // max(_plane_bytes(box, extent, along) for extent in extents))
    ranges = [(start, min(start + count, stop)) for start in range(first, stop, count)]
    index = extents[0].maps[along].index
    if index[0, 0] > index[-1, 0]:
        ranges.reverse()
    for found in ranges:
        yield tuple(found if axis == along else box[axis] for axis in range(3))


def _plane_bytes(box: tuple[Range, Range, Range], extent: Extent, along: int) -> int:
    """Of the logits of one plane of a block, or of the network's planes that it is made from, whichever is more."""
    target = source = 4 * extent.outputs
    for axis, (first, stop) in enumerate(box):
        begin, end = extent.maps[axis].part(first, stop).span
        if axis == along:
            source *= math.ceil((end - begin) / (stop - first))
        else:
            target *= stop - first
            source *= end - begin
    return max(target, source)


def _whole(extents: Sequence[Extent], along: int) -> Blocks:
    return _blocks(extents, along, {axis: _divided_axis(extents, axis, 1) for axis in range(3) if axis != along})


def _blocks(extents: Sequence[Extent], along: int, parts: dict[int, _Parts]) -> Blocks:
    whole = ((0, len(extents[0].maps[along].index)),)
    x, y, z = (parts[axis].ranges if axis in parts else whole for axis in range(3))
    return Blocks(along, tuple(product(x, y, z)), _open_bytes(extents, along, *parts.values()))


def _open_bytes(extents: Sequence[Extent], along: int, first: _Parts, second: _Parts) -> int:
    return sum(
        extent.open_bytes(along, (one, other))
        for extent, one, other in zip(extents, first.sides, second.sides, strict=True)
    )


def _windows(extents: Sequence[Extent], first: _Parts, second: _Parts) -> int:
    """Voxels of all windows that are read, but for the axis along which planes are given away."""
    return sum(
        one * other * extent.answer_bytes
        for extent, one, other in zip(extents, first.windows, second.windows, strict=True)
    )


def _divisions(extents: Sequence[Extent], axis: int) -> Iterator[_Parts]:
    for count in range(1, min(MAX_PARTS, len(extents[0].maps[axis].index)) + 1):
        yield _divided_axis(extents, axis, count)


def _divided_axis(extents: Sequence[Extent], axis: int, count: int) -> _Parts:
    length = len(extents[0].maps[axis].index)
    ranges = tuple(pairwise(round(i * length / count) for i in range(count + 1)))
    spans = [[extent.maps[axis].part(*found).span for found in ranges] for extent in extents]
    sides = tuple(max(stop - first for first, stop in own) for own in spans)
    return _Parts(ranges, sides, tuple(_reached(e, axis, own) for e, own in zip(extents, spans, strict=True)))


def _reached(extent: Extent, axis: int, spans: Sequence[Range]) -> int:
    """Windows along an axis that reach into each of the spans, counted for each."""
    own = extent.maps[axis].axis
    size, length = extent.window[own], extent.shape[own]
    if size >= length:
        return len(spans)
    starts = [start[0] for start in window_starts((length, 1, 1), (size, 1, 1), extent.overlap)]
    return sum(start < stop and first < start + size for first, stop in spans for start in starts)


def _taps_span(axis_map: AxisMap) -> int:
    """Planes of the network's grid that the voxels of one plane of the scan need."""
    return int((axis_map.index.max(axis=1) - axis_map.index.min(axis=1)).max()) + 1


def _mib(count: int) -> int:
    return -(-count // 2**20)
