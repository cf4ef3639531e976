"""Connected components of two masks, and which of them are one and the same lesion.

Components hang together across faces, edges and corners (26 neighbours; 8 in a plane), as in the challenges that count
lesions. They are matched one to one: where two components overlap enough to be one lesion, the pairs are chosen so that
the sum of their IoU is largest (Kuhn 1955). Above an IoU of one half no component has two candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]


ROUNDING = 1e-6
"""Voxels by which a size may be too small."""


@dataclass(frozen=True, eq=False)
class Components:
    """Numbers 1 ... n of the component that each voxel is in, 0 outside, and their sizes in voxels."""

    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]
    """(n + 1,); the first one is the outside."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.sizes) - 1

    def at_least(self, voxels: float) -> NDArray[np.intp]:
        """Numbers of those that are not smaller; a size in mm3 over a voxel's is no exact number of voxels."""
        return np.flatnonzero(self.sizes[1:] >= voxels - ROUNDING) + 1


@dataclass(frozen=True, eq=False)
class Overlap:
    """Components of two masks, and what they have in common."""

    prediction: Components
    reference: Components
    pairs: NDArray[np.int64]
    """(K, 2): numbers of components that touch, of the prediction and of the reference."""
    voxels: NDArray[np.int64]
    """(K,): in common."""


@dataclass(frozen=True)
class Matches:
    """Lesions of the reference that were found, missed and invented, and the IoU of those that were found."""

    ious: tuple[float, ...]
    missed: int
    invented: int

    @property
    def found(self) -> int:
        """Pairs."""
        return len(self.ious)


def overlap_of(prediction: Mask, reference: Mask) -> Overlap:
    """The components of two masks of one shape, in two or three dimensions."""
    ours, theirs = _components_of(prediction), _components_of(reference)
    width = theirs.count + 1
    both = prediction & reference
    found, voxels = np.unique(ours.labels[both].astype(np.int64) * width + theirs.labels[both], return_counts=True)
    return Overlap(ours, theirs, np.stack(np.divmod(found, width), axis=1), voxels)


def matched(overlap: Overlap, *, least_iou: float, least_voxels: float) -> Matches:
    """Match components one to one where their IoU is above `least_iou`; those of fewer voxels do not count at all."""
    ours, theirs = overlap.prediction.at_least(least_voxels), overlap.reference.at_least(least_voxels)
    own, other = overlap.pairs[:, 0], overlap.pairs[:, 1]
    iou = overlap.voxels / (overlap.prediction.sizes[own] + overlap.reference.sizes[other] - overlap.voxels)
    may = np.isin(own, ours) & np.isin(other, theirs) & (iou > least_iou)
    found = tuple(_best_pairs(own[may], other[may], iou[may]))
    return Matches(found, len(theirs) - len(found), len(ours) - len(found))


def component_dice(prediction: Mask, overlap: Overlap, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Dice in the surroundings of each component of the reference: of all voxels nearest to it, in mm.

    (CC-Dice; Jaus et al. 2024, arXiv 2410.18684.)
    """
    reference = overlap.reference
    inside = np.bincount(overlap.pairs[:, 1], weights=overlap.voxels, minlength=reference.count + 1)
    outside = _nearest(prediction & (reference.labels == 0), reference, spacing_mm)
    predicted = inside + np.bincount(outside, minlength=reference.count + 1)
    dice: NDArray[np.float64] = 2 * inside[1:] / (reference.sizes + predicted)[1:]
    return dice


def _best_pairs(own: NDArray[np.int64], other: NDArray[np.int64], iou: NDArray[np.float64]) -> Iterator[float]:
    """IoU of the pairs (own, other) that are chosen. Components that do not hang together by pairs decide apart."""
    if not len(iou):
        return
    rows, columns = (np.unique(side, return_inverse=True)[1] for side in (own, other))
    height, size = rows.max() + 1, rows.max() + columns.max() + 2
    graph = coo_matrix((np.ones(len(iou)), (rows, height + columns)), (size, size))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[rows], kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(group[rows][order])) + 1):
        if len(members) == 1:
            yield float(iou[members[0]])
            continue
        (_, r), (_, c) = (np.unique(side[members], return_inverse=True) for side in (rows, columns))
        table = np.zeros((r.max() + 1, c.max() + 1))
        table[r, c] = iou[members]
        yield from (float(value) for value in table[linear_sum_assignment(table, maximize=True)] if value > 0)


def _components_of(mask: Mask) -> Components:
    labels, _ = ndimage.label(mask, np.ones((3,) * mask.ndim, dtype=np.bool_))
    return Components(labels, np.bincount(labels.reshape(-1)))


def _nearest(voxels: Mask, reference: Components, spacing_mm: tuple[float, ...]) -> NDArray[np.intp]:
    """The number of the component that lies nearest to each of the voxels."""
    if reference.count == 1 or not voxels.any():
        return np.ones(int(np.count_nonzero(voxels)), dtype=np.intp)
    held = reference.labels > 0
    border = held & ~ndimage.binary_erosion(held)
    tree = cKDTree(np.argwhere(border) * spacing_mm)
    _, nearest = tree.query(np.argwhere(voxels) * spacing_mm)
    numbers: NDArray[np.intp] = reference.labels[border][nearest].astype(np.intp)
    return numbers
