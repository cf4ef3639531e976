"""Which metrics are computed. Torch-free."""

from __future__ import annotations

from pydantic import Field

from segtrain.core.settings import Settings

DEFAULT_METRICS = ("dice", "iou")
"""What is computed where nobody says otherwise."""


class EvaluationSettings(Settings):
    """Metrics by name."""

    metrics: tuple[str, ...] = Field(default=DEFAULT_METRICS, min_length=1)
