"""What one training step consumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Normalised images (B, channels, *S) float32, classes (B, *S) int64, and whose patches they are.

    S has three axes, or two where the plan is 2D.
    """

    images: Tensor
    classes: Tensor
    case_ids: tuple[str, ...]
