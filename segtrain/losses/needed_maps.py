"""The maps of the truth that a loss needs, made before it is called, by the functions that it would call itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from segtrain.losses.base import Loss
from segtrain.losses.border_ce import TWO_NEAREST, to_two_objects
from segtrain.losses.combine import Compound
from segtrain.losses.components import COMPONENTS, NEAREST_COMPONENT, component_ids, nearest_component_ids
from segtrain.losses.maps import SIGNED_DISTANCE, signed_distances
from segtrain.losses.skeletons import SKELETON, hard_skeleton
from segtrain.losses.spatial import spacing_of
from segtrain.losses.voxels import Extras, Reading, Voxels, read

Sides = tuple[float, ...]


@dataclass(frozen=True)
class Wish:
    """What a loss says of a map that it needs."""

    first: int
    """Class from which on it scores them."""
    spacing_mm: Sides
    reach_mm: float
    """How far from an object distances to it matter; 0 where it does not say."""


Maker = Callable[[Voxels, Wish], Tensor]

MAKERS: Mapping[str, Maker] = {
    SIGNED_DISTANCE: lambda voxels, wish: _in_space(signed_distances(voxels, wish.first, wish.spacing_mm), voxels),
    SKELETON: lambda voxels, wish: hard_skeleton(voxels, wish.first).bool(),
    COMPONENTS: lambda voxels, wish: _in_space(component_ids(voxels, wish.first).int(), voxels),
    NEAREST_COMPONENT: lambda voxels, wish: _in_space(
        nearest_component_ids(voxels, wish.first, wish.spacing_mm).int(), voxels
    ),
    TWO_NEAREST: lambda voxels, wish: to_two_objects(voxels, wish.spacing_mm, wish.reach_mm).reshape(
        -1, 1, *voxels.space
    ),
}
"""Name -> its map (B, C or 1, *S) in a small dtype."""


@runtime_checkable
class ScoresSome(Protocol):
    """A loss that does not score every class."""

    def first(self, voxels: Voxels) -> int:
        """Class from which on they are scored."""


@runtime_checkable
class HasSpacing(Protocol):
    """A loss that may know the sides of a voxel better than the call."""

    spacing_mm: Sides | None


@runtime_checkable
class HasReach(Protocol):
    """A loss for which objects that are far do not matter."""

    @property
    def reach_mm(self) -> float:
        """How far an object matters."""


def needs_maps(loss: Loss) -> bool:
    """Whether it needs any map that can be made ahead."""
    return any(True for _ in _needed(loss))


def needed_maps(
    loss: Loss, target: Tensor, mask: Tensor | None, *, outputs: int, spacing_mm: Sides
) -> dict[str, Tensor]:
    """Name -> map (B, C or 1, *S) for a call of the loss with this target and mask, C outputs and such a spacing.

    Channels of classes that nothing in the loss scores are 0. Two parts of a loss that measure one map with voxels of
    different sides cannot share it: both are left to make their own.
    """
    unknown = torch.zeros((), device=target.device).expand(len(target), outputs, *target.shape[-len(spacing_mm) :])
    extras = Extras(spacing_mm=spacing_mm)
    voxels = read(unknown, target, mask, Reading(loss.mode, loss.ignore_label), extras)
    wishes: dict[str, list[Wish]] = {}
    for name, part in _needed(loss):
        wishes.setdefault(name, []).append(_wish(part, voxels))
    return {
        name: MAKERS[name](voxels, _joined(of_parts))
        for name, of_parts in wishes.items()
        if len({wish.spacing_mm for wish in of_parts}) == 1
    }


def _wish(part: Loss, voxels: Voxels) -> Wish:
    first = part.first(voxels) if isinstance(part, ScoresSome) else 0
    sides = spacing_of(voxels, part.spacing_mm if isinstance(part, HasSpacing) else None)
    return Wish(first, sides, part.reach_mm if isinstance(part, HasReach) else 0.0)


def _joined(wishes: Sequence[Wish]) -> Wish:
    """One that serves all, whose voxels have the same sides."""
    return Wish(min(w.first for w in wishes), wishes[0].spacing_mm, max(w.reach_mm for w in wishes))


def _needed(loss: Loss) -> Iterator[tuple[str, Loss]]:
    """Names of maps, and the parts of the loss that need them; a compound needs nothing but what its parts do."""
    for part in loss.modules():
        if isinstance(part, Loss) and not isinstance(part, Compound):
            yield from ((name, part) for name in part.needs if name in MAKERS)


def _in_space(found: Tensor, voxels: Voxels) -> Tensor:
    """(B, classes scored, N) -> (B, C, *S)."""
    unscored = found.new_zeros(len(found), voxels.outputs - found.shape[1], found.shape[2])
    return voxels.in_space(torch.cat([unscored, found], 1))
