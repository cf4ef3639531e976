"""Outlines -> voxels: a voxel belongs to a shape where its centre lies inside an odd number of outlines.

The even-odd rule makes holes of inner outlines, and a keyhole (one outline that runs in and out along the same line)
is a hole as well: an edge that is passed twice counts for nothing. But it would also make nothing of what two outlines
share that cross each other, or are one and the same, which nobody means: `shape_of` takes those together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Polygon = NDArray[np.float64]
"""(N, 2) corners in voxels; the last one is joined to the first."""
Way = Literal["apart", "nested", "same", "touching", "crossing"]

SAME_LINE_VOXELS = 0.1
"""Outlines that lie nearer to each other than this are one line: programs round their corners."""
POINTS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Shape:
    """What outlines make together."""

    inside: NDArray[np.bool_]
    """(X, Y)."""
    repeated: int
    """Outlines that were there already, with other corners perhaps, and count once."""
    crossing: int
    """Outlines that cross another one."""


def shape_of(outlines: Sequence[Polygon], xor: Sequence[Polygon], shape: tuple[int, int]) -> Shape:
    """Fill outlines of (X, Y) voxels: one wholly within another is a hole, those that cross are one area.

    Those of `xor` say themselves that they are to be taken by the even-odd rule, with each other and with that area.
    """
    kept, joined = _without_repeated(outlines)
    kept_xor, _ = _without_repeated(xor)
    inside = filled(kept_xor, shape)
    for group in _groups(list(joined), len(kept)):
        inside ^= np.logical_or.reduce([filled([kept[at]], shape) for at in group])
    crossing = {at for pair, way in joined.items() if way == "crossing" for at in pair}
    return Shape(inside, len(outlines) + len(xor) - len(kept) - len(kept_xor), len(crossing))


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


def _without_repeated(outlines: Sequence[Polygon]) -> tuple[list[Polygon], dict[tuple[int, int], Way]]:
    """Each outline once, and the pairs of them that are to be taken together."""
    kept: list[Polygon] = []
    joined: dict[tuple[int, int], Way] = {}
    for outline in outlines:
        ways = [_way(other, outline) for other in kept]
        if "same" not in ways:
            joined |= {(at, len(kept)): way for at, way in enumerate(ways) if way in ("touching", "crossing")}
            kept.append(outline)
    return kept, joined


def _groups(pairs: Sequence[tuple[int, int]], number: int) -> list[NDArray[np.intp]]:
    """Numbers below `number`, those together that pairs connect."""
    ends = np.reshape(pairs, (-1, 2)).astype(np.intp)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(number, number))
    groups, of = connected_components(graph, directed=False) if number else (0, np.zeros(0))
    return [np.flatnonzero(of == group) for group in range(groups)]


def _way(one: Polygon, other: Polygon) -> Way:
    """How two outlines lie to each other, but for `SAME_LINE_VOXELS`."""
    if (one.min(axis=0) > other.max(axis=0)).any() or (other.min(axis=0) > one.max(axis=0)).any():
        return "apart"
    pairs = (one, other), (other, one)
    leaves = [_any_point(a, of=b, inside=False, beyond=SAME_LINE_VOXELS) for a, b in pairs]
    if not all(leaves):
        return "nested" if any(leaves) else "same"
    if any(_any_point(a, of=b, inside=True, beyond=SAME_LINE_VOXELS) for a, b in pairs):
        return "crossing"
    return "touching" if any(_any_point(a, of=b, inside=True, beyond=0) for a, b in pairs) else "apart"


def _any_point(outline: Polygon, *, of: Polygon, inside: bool, beyond: float) -> bool:
    """Whether an outline has a point on one side of another one, farther from it than `beyond` voxels."""
    low, high = of.min(axis=0) - beyond, of.max(axis=0) + beyond
    if not inside and ((outline < low) | (outline > high)).any():
        return True
    points = _dense(outline)
    for first in range(0, len(points), POINTS_AT_ONCE):
        block = points[first : first + POINTS_AT_ONCE]
        block = block[_is_inside(block, of) == inside]
        if len(block) and _distances(block, of).max() > beyond:
            return True
    return False


def _dense(outline: Polygon) -> Polygon:
    """Points on the edges of an outline, at most a voxel apart."""
    ways = np.roll(outline, -1, axis=0) - outline
    counts = np.maximum(np.ceil(np.linalg.norm(ways, axis=1)), 1).astype(np.intp)
    edge = np.repeat(np.arange(len(counts)), counts)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)) / counts[edge]
    points: Polygon = outline[edge] + share[:, None] * ways[edge]
    return points


def _is_inside(points: Polygon, outline: Polygon) -> NDArray[np.bool_]:
    """(N,) by the even-odd rule."""
    (x, y), begin, end = points.T[:, :, None], outline, np.roll(outline, -1, axis=0)
    spans = (begin[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(end[:, 1] == begin[:, 1], 1, end[:, 1] - begin[:, 1])
    right = x < begin[:, 0] + (y - begin[:, 1]) / rise * (end[:, 0] - begin[:, 0])
    odd: NDArray[np.bool_] = np.logical_xor.reduce(spans & right, axis=1)
    return odd


def _distances(points: Polygon, outline: Polygon) -> NDArray[np.float64]:
    """(N,) from each point to the nearest edge, in voxels."""
    ways = np.roll(outline, -1, axis=0) - outline
    beside = points[:, None] - outline
    squares = np.where((ways == 0).all(axis=1), 1, (ways**2).sum(axis=1))
    share = np.clip((beside * ways).sum(axis=2) / squares, 0, 1)
    nearest: NDArray[np.float64] = np.linalg.norm(beside - share[:, :, None] * ways, axis=2).min(axis=1)
    return nearest
