"""The maps of the truth that a loss needs, made before it is called, by the functions that it would call itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from segtrain.losses.base import Loss
from segtrain.losses.combine import Compound
from segtrain.losses.components import COMPONENTS, NEAREST_COMPONENT, component_ids, nearest_component_ids
from segtrain.losses.maps import SIGNED_DISTANCE, signed_distances
from segtrain.losses.skeletons import SKELETON, hard_skeleton
from segtrain.losses.spatial import spacing_of
from segtrain.losses.voxels import Extras, Voxels, read

Spacing = tuple[float, ...]

Maker = Callable[[Voxels, int, Spacing], Tensor]

MAKERS: Mapping[str, Maker] = {
    SIGNED_DISTANCE: lambda voxels, first, sides: _in_space(signed_distances(voxels, first, sides), voxels),
    SKELETON: lambda voxels, first, _: hard_skeleton(voxels, first).bool(),
    COMPONENTS: lambda voxels, first, _: _in_space(component_ids(voxels, first).int(), voxels),
    NEAREST_COMPONENT: lambda voxels, first, sides: _in_space(
        nearest_component_ids(voxels, first, sides).int(), voxels
    ),
}
"""Name -> its map (B, C or 1, *S), of the classes from `first` on, in a small dtype; voxels have such sides."""


@runtime_checkable
class ScoresSome(Protocol):
    """A loss that does not score every class."""

    def first(self, voxels: Voxels) -> int:
        """Class from which on they are scored."""


@runtime_checkable
class HasSpacing(Protocol):
    """A loss that may know the sides of a voxel better than the call."""

    spacing_mm: Spacing | None


def needs_maps(loss: Loss) -> bool:
    """Whether it needs any map that can be made ahead."""
    return any(True for _ in _needed(loss))


def needed_maps(
    loss: Loss, target: Tensor, mask: Tensor | None, *, outputs: int, spacing_mm: Spacing
) -> dict[str, Tensor]:
    """Name -> map (B, C or 1, *S) for a call of the loss with this target and mask, C outputs and such a spacing.

    Channels of classes that nothing in the loss scores are 0. Two parts of a loss that measure one map with voxels of
    different sides cannot share it: both are left to make their own.
    """
    unknown = torch.zeros(()).expand(len(target), outputs, *target.shape[-len(spacing_mm) :])
    extras = Extras(spacing_mm=spacing_mm)
    voxels = read(unknown, target, mask, mode=loss.mode, ignore_label=loss.ignore_label, extras=extras)
    first: dict[str, int] = {}
    spacings: dict[str, set[Spacing]] = {}
    for name, part in _needed(loss):
        own = part.first(voxels) if isinstance(part, ScoresSome) else 0
        first[name] = min(own, first.get(name, own))
        sides = spacing_of(voxels, part.spacing_mm if isinstance(part, HasSpacing) else None)
        spacings.setdefault(name, set()).add(sides)
    return {name: MAKERS[name](voxels, first[name], *sides) for name, sides in spacings.items() if len(sides) == 1}


def _needed(loss: Loss) -> Iterator[tuple[str, Loss]]:
    """Names of maps, and the parts of the loss that need them; a compound needs nothing but what its parts do."""
    for part in loss.modules():
        if isinstance(part, Loss) and not isinstance(part, Compound):
            yield from ((name, part) for name in part.needs if name in MAKERS)


def _in_space(found: Tensor, voxels: Voxels) -> Tensor:
    """(B, classes scored, N) -> (B, C, *S)."""
    unscored = found.new_zeros(len(found), voxels.outputs - found.shape[1], found.shape[2])
    return voxels.in_space(torch.cat([unscored, found], 1))
