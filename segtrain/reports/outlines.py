"""Masks -> outlines as SVG path data, in half pixels, so that every point is a pair of whole numbers.

The upper left corner of a picture is (0, 0) and the middle of its first pixel (1, 1). Lines run half-way between a
pixel of the mask and its neighbours outside, with corners cut: the 0.5 contour of marching squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy import ndimage

MOST_LETTERS = 300_000
"""Of all outlines of one mask in one plane: noise has an outline around every pixel."""


def outlines_within(pictures: Sequence[NDArray[Any]]) -> tuple[tuple[dict[int, str], ...], int]:
    """The outlines in each picture, and how many pixels a part must have for one: 1, or what MOST_LETTERS needs."""
    least = 1
    while True:
        found = tuple(outlines(picture, least) for picture in pictures)
        if sum(len(path) for slices in found for path in slices.values()) <= MOST_LETTERS:
            return found, least
        least *= 4


def outlines(labels: NDArray[Any], least_pixels: int = 1) -> dict[int, str]:
    """Path data of each label in a picture (rows, columns) of label ids; 0 is no label. Smaller parts are left out."""
    ids = np.unique(labels)
    ids = ids[ids != 0]  # whatever they are, sparse or below 0: they are looked for by their place
    places = np.where(labels == 0, 0, np.searchsorted(ids, labels) + 1) if len(ids) else np.zeros(labels.shape, int)
    boxes = zip(ids.tolist(), ndimage.find_objects(places, len(ids)), strict=True) if len(ids) else ()
    inside = {label: (_without_specks(labels[box] == label, least_pixels), box) for label, box in boxes}
    return {label: _path(mask, box[0].start, box[1].start) for label, (mask, box) in inside.items() if mask.any()}


def _without_specks(mask: NDArray[np.bool_], least_pixels: int) -> NDArray[np.bool_]:
    if least_pixels == 1:
        return mask
    parts, _ = ndimage.label(mask)
    large = np.bincount(parts.reshape(-1)) >= least_pixels
    large[0] = False
    return np.asarray(large[parts])


def _path(inside: NDArray[np.bool_], top: int, left: int) -> str:
    """Closed lines around what is `inside`, which lies `top` and `left` pixels from the corner of the picture."""
    rows, columns = (np.arange(-1, n + 1) for n in inside.shape)
    padded = np.pad(inside, 1).astype(np.float64)
    lines: Any = contour_generator(x=2 * (columns + left) + 1, y=2 * (rows + top) + 1, z=padded).lines(0.5)
    return "".join(_closed(np.rint(line).astype(np.int64)) for line in lines)


def _closed(points: NDArray[np.int64]) -> str:
    """`M` and relative steps of a line (N, 2) that ends where it begins; points on a straight line are left out."""
    steps = np.diff(points, axis=0)
    corners = points[np.flatnonzero((steps != np.roll(steps, 1, axis=0)).any(axis=1))]
    return f"M{_numbers(corners[:1])}l{_numbers(np.diff(corners, axis=0))}z"


def _numbers(pairs: NDArray[np.int64]) -> str:
    """Numbers beside each other; a minus separates as well as a space does."""
    return " ".join(map(str, pairs.ravel().tolist())).replace(" -", "-")
