"""Losses for segmentation networks: `build_loss("tversky", fn_weight=0.7)(logits, target)`."""

from segtrain.losses.base import Loss
from segtrain.losses.registry import build_loss, list_losses

__all__ = ["Loss", "build_loss", "list_losses"]
