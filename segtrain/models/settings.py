"""What a person may say about the network. What is left out comes from the plan. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segtrain.core.plan import Positive, Size3
from segtrain.core.settings import Settings

Width = Annotated[int, Field(ge=1, le=4096)]


class ModelSettings(Settings):
    """The network; every null is decided by the plan."""

    name: Literal["unet"] = "unet"
    dims: Literal[2, 3] = 3
    block: Literal["plain", "residual"] = "plain"
    deep_supervision: bool = True
    """Coarser decoder stages answer too, and their losses count half as much a stage."""
    widths: tuple[Width, ...] | None = Field(default=None, min_length=1)
    """Feature channels of each stage; their number is the depth."""
    convolutions: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Convolutions of each encoder stage."""
    spacing_mm: tuple[Positive, Positive, Positive] | None = None
    """Target spacing along R, A, S."""
    patch_size: Size3 | None = None
    """Patch along R, A, S, in voxels of the target spacing."""
