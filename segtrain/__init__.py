"""segtrain: train and evaluate medical image segmentation networks, and find the loss that suits your data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segtrain.recipes.api import compare_losses, evaluate, fit
    from segtrain.recipes.score_files import score_files

__all__ = ["compare_losses", "evaluate", "fit", "score_files"]


def __getattr__(name: str) -> Any:
    """Load the commands when they are asked for: `import segtrain` alone must not import torch (PEP 562)."""
    if name == "score_files":
        from segtrain.recipes.score_files import score_files

        return score_files
    if name in __all__:
        from segtrain.recipes import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
