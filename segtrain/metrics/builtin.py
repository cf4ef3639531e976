"""The metrics that come with segtrain: importing this registers them all."""

from segtrain.metrics import boundary, lesions, overlap, tubes

__all__ = ["boundary", "lesions", "overlap", "tubes"]
