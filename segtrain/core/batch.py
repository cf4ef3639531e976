"""What one training step consumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Maps = tuple[Mapping[str, "Tensor"], ...]
"""Maps of the truth by name, (B, C or 1, *S_i), for each stage that the network answers from, finest first; among them
`hidden` (B, outputs), true where the case of a sample does not tell of an output."""


def moved(maps: Maps, device: torch.device) -> Maps:
    """On the device; those that are there already stay as they are."""
    return tuple({name: values.to(device, non_blocking=True) for name, values in stage.items()} for stage in maps)


@dataclass(frozen=True, eq=False)
class Batch:
    """Normalised images (B, channels, *S) float32, classes (B, *S) int64, and whose patches they are.

    S has three axes, or two where the plan is 2D. Both are on the device where that is CUDA, else on the CPU.
    """

    images: Tensor
    classes: Tensor
    case_ids: tuple[str, ...]
    maps: Maps = ()
    """What the loss would else have to make of the classes; empty where it needs nothing."""


class MapMaker(Protocol):
    """Makes the maps of a batch, ahead of the step: a pure function of the classes and their cases."""

    def __call__(self, classes: Tensor, cases: Sequence[str]) -> Maps:
        """Of classes (B, *S), on the CPU, and the cases that they are of."""
