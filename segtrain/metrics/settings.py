"""Which metrics are computed. Torch-free."""

from __future__ import annotations

from pydantic import Field

from segtrain.core.settings import Settings


class EvaluationSettings(Settings):
    """Metrics by name."""

    metrics: tuple[str, ...] = Field(default=("dice", "iou"), min_length=1)
