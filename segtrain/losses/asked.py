"""What a loss will ask of the one pass over its voxels: said beforehand, so that all parts share the pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from segtrain.losses.entropy import EntropyCost


@dataclass(frozen=True)
class Asked:
    """Sums over the voxels; nothing is asked for by default."""

    costs: tuple[EntropyCost, ...] = ()
    """Costs of the cross-entropy, each once."""
    overlap: bool = False
    """Hits and answers, which are soft counts."""
    powers: tuple[float, ...] = ()
    """Sums of |p - g|^q for each of these q >= 1."""

    def __or__(self, other: Asked) -> Asked:
        """Both, in the order of the first, each once."""
        return Asked(
            tuple(dict.fromkeys((*self.costs, *other.costs))),
            self.overlap or other.overlap,
            tuple(dict.fromkeys((*self.powers, *other.powers))),
        )


NOTHING = Asked()


def all_of(asked: Iterable[Asked]) -> Asked:
    """What any of them asks for."""
    found = NOTHING
    for one in asked:
        found |= one
    return found
