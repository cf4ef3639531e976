"""How well a mask agrees with its reference, with a reason wherever that has no answer."""

from segtrain.metrics.score_case import score

__all__ = ["score"]
