"""Maps of the truth of a batch: the caller's where it has them, else made here, on the CPU and without gradient.

Axes as in `voxels.py`; C counts from the `first` class on.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtrain.core.distance import Distances, Mask, signed_distance_mm, squared_distance_mm2
from segtrain.losses.voxels import Voxels

SIGNED_DISTANCE = "signed_distance_mm"
"""(B, C, *S) as `core.distance.signed_distance_mm` has it for each class: negative inside."""


class Measure(Protocol):
    """From one mask to its map."""

    def __call__(
        self, mask: Mask, spacing_mm: tuple[float, ...], *, known: Mask | None = None, threads: int = 1
    ) -> Distances:
        """A map of the shape of the mask."""


def members(voxels: Voxels, first: int) -> Tensor:
    """(B, C, N) bool: what belongs to a class for the greater part."""
    found = voxels.membership[:, first:]
    return found if found.dtype == torch.bool else found > 0.5


def signed_distances(voxels: Voxels, first: int, spacing_mm: tuple[float, ...]) -> Tensor:
    """(B, C, N) distance to the border of the truth, negative inside; 0 where ignored and where there is no border."""
    given = _given(voxels, first)
    return _measured(members(voxels, first), voxels, spacing_mm, signed_distance_mm) if given is None else given


def squared_distances(voxels: Voxels, first: int, spacing_mm: tuple[float, ...]) -> Tensor:
    """(B, C, N) square of the distance to the border of the truth."""
    given = _given(voxels, first)
    return squared_distances_of(members(voxels, first), voxels, spacing_mm) if given is None else given.square()


def squared_distances_of(masks: Tensor, voxels: Voxels, spacing_mm: tuple[float, ...]) -> Tensor:
    """(B, C, N) square of the distance to the border of other masks (B, C, N) of the same voxels, such as answers."""
    return _measured(masks, voxels, spacing_mm, squared_distance_mm2)


def _given(voxels: Voxels, first: int) -> Tensor | None:
    given = voxels.maps.get(SIGNED_DISTANCE)
    if given is None:
        return None
    if given.shape[1] != voxels.outputs:
        raise ValueError(f"map {SIGNED_DISTANCE} has {given.shape[1]} channels for {voxels.outputs} output channels")
    found = given[:, first:].flatten(2).to(voxels.dtype)
    return found if voxels.valid is None else found.masked_fill(~voxels.valid.unsqueeze(1), 0)


@torch.no_grad()
def _measured(masks: Tensor, voxels: Voxels, spacing_mm: tuple[float, ...], measure: Measure) -> Tensor:
    arrays = _arrays(voxels.in_space(masks))
    known = None if voxels.valid is None else _arrays(voxels.valid.reshape(-1, *voxels.space))
    found = np.empty(arrays.shape, np.float32)
    for sample, classes in enumerate(arrays):
        for place, mask in enumerate(classes):
            here = None if known is None else known[sample]
            found[sample, place] = measure(mask, spacing_mm, known=here, threads=torch.get_num_threads())
    return torch.from_numpy(found).flatten(2).to(masks.device, voxels.dtype)


def _arrays(masks: Tensor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = masks.cpu().numpy()
    return found
