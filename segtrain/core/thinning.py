"""Skeleton of a mask by thinning: peel off, layer by layer, what can go without a change of topology.

A voxel is simple, and may go, if its neighbours in the object hang together (26-connected) and so do those outside
(6-connected): Bertrand & Malandain 1994. Simple voxels may not go at once where they touch, so each layer is peeled in
eight turns, one for each parity of the coordinates: two voxels of a turn never touch. Ends of curves, as they were
before the layer, stay (Németh, Kardos & Palágyi 2010). In a plane this is thinning by 8- and 4-connection.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

STEPS = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)])
"""To the 26 neighbours."""
ORDER = np.abs(STEPS).sum(1)
"""1: shares a face, 2: an edge, 3: a corner."""
APART = np.abs(STEPS[:, None] - STEPS[None])
TOUCHING = (APART.max(-1) <= 1).astype(np.float32)
FACE_TO_FACE = ((APART.sum(-1) <= 1) & (ORDER <= 2) & (ORDER[:, None] <= 2)).astype(np.float32)


def thinned(mask: Mask) -> Mask:
    """Skeleton of a mask in two or three dimensions: curves, and surfaces only where they enclose a cavity."""
    if not mask.any():
        return mask.copy()
    solid = np.pad(mask.reshape(-1, *mask.shape[-2:]) if mask.ndim == 3 else mask[None], 1)
    voxels = solid.reshape(-1)
    to_neighbours = (STEPS * np.array([solid[0].size, solid.shape[2], 1])).sum(1)
    turns = _turns(solid.shape)
    inside = np.flatnonzero(voxels)
    peeled = True
    while peeled:
        peeled = _peel(voxels, inside, to_neighbours, turns)
        inside = inside[voxels[inside]]
    return solid[1:-1, 1:-1, 1:-1].reshape(mask.shape).copy()


def _turns(shape: tuple[int, ...]) -> NDArray[np.int8]:
    """0 to 7: the parities of each voxel's coordinates."""
    z, y, x = np.ogrid[tuple(map(slice, shape))]
    turns: NDArray[np.int8] = (4 * (z % 2) + 2 * (y % 2) + x % 2).astype(np.int8).reshape(-1)
    return turns


def _peel(voxels: Mask, inside: Indices, to_neighbours: Indices, turns: NDArray[np.int8]) -> bool:
    """Take one layer off, in place; whether any voxel went."""
    at_face = ~voxels[inside[:, None] + to_neighbours[ORDER == 1]].all(1)
    border = inside[at_face]
    border = border[voxels[border[:, None] + to_neighbours].sum(1) > 1]
    before = len(border)
    for turn in range(8):
        some = border[turns[border] == turn]
        simple = some[_is_simple(voxels[some[:, None] + to_neighbours])]
        voxels[simple] = False
    return before > int(voxels[border].sum())


def _is_simple(neighbours: Mask) -> Mask:
    """For rows of 26 neighbours."""
    around = ~neighbours & (ORDER <= 2)
    return _is_one_piece(neighbours, neighbours, TOUCHING) & _is_one_piece(around & (ORDER == 1), around, FACE_TO_FACE)


def _is_one_piece(seeds: Mask, among: Mask, joined: NDArray[np.float32]) -> Mask:
    """Whether there are seeds and all of them hang together among the neighbours of a row."""
    reached = np.zeros_like(among)
    rows = np.arange(len(seeds))
    reached[rows, seeds.argmax(1)] = seeds.any(1)
    while True:
        wider: Mask = (reached.astype(np.float32) @ joined > 0) & among
        if (wider == reached).all():
            break
        reached = wider
    return np.asarray(seeds.any(1) & ~(seeds & ~reached).any(1))
