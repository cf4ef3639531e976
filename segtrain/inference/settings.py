"""How a whole scan is predicted. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from segtrain.core.settings import Settings


class InferenceSettings(Settings):
    """The sliding window."""

    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of a window that it has in common with the next one (nnU-Net: a half)."""
    batch_size: Annotated[int, Field(ge=1)] = 2
    """Windows predicted at once."""
