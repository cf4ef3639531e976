"""The table of contents: importing this registers every shipped network."""

from segtrain.models import residual_unet, unet

__all__ = ["residual_unet", "unet"]
