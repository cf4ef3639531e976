"""The table of contents: importing this registers every shipped loss."""

from segtrain.losses import compound, distribution, generalized, lovasz, presets, region

__all__ = ["compound", "distribution", "generalized", "lovasz", "presets", "region"]
