"""Outlines -> voxels: a voxel belongs to a shape where its centre lies inside an odd number of outlines.

The even-odd rule makes holes of inner outlines, and a keyhole (one outline that runs in and out along the same line)
is a hole as well: an edge that is passed twice counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""(N, 2) corners in voxels; the last one is joined to the first."""


def filled(outlines: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which of (X, Y) voxel centres, at whole numbers, lie inside an odd number of outlines.

    For each line of voxels, an edge that crosses it turns all voxels behind the crossing over. An edge owns its lower
    end and not its upper one, so that a corner on a line is counted once.
    """
    turned = np.zeros((shape[0] + 1, shape[1]), dtype=np.uint8)
    for outline in outlines:
        first, last = _crossings(outline, shape[1])
        np.bitwise_xor.at(turned, (np.clip(np.ceil(first), 0, shape[0]).astype(np.intp), last), 1)
    inside: NDArray[np.bool_] = np.bitwise_xor.accumulate(turned, axis=0)[:-1].astype(bool)
    return inside


def _crossings(outline: Polygon, lines: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Where the edges of an outline cross the lines y = 0, 1 ... below `lines`: x, and which line."""
    ends = np.stack([outline, np.roll(outline, -1, axis=0)])
    order = ends[:, :, 1].argsort(axis=0, kind="stable")
    low, high = np.take_along_axis(ends, order[:, :, None], axis=0)  # the same numbers, whichever way an edge is run
    begin = np.clip(np.ceil(low[:, 1]), 0, lines).astype(np.intp)
    counts = np.clip(np.ceil(high[:, 1]), 0, lines).astype(np.intp) - begin
    edge = np.repeat(np.arange(len(counts)), counts)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + begin[edge]
    share = (line - low[edge, 1]) / (high[edge, 1] - low[edge, 1])
    return low[edge, 0] + share * (high[edge, 0] - low[edge, 0]), line
