"""Samples in which some structures were not drawn, for any loss.

Of exclusive classes, those that nobody drew are one with the background: their probabilities are added to its own
before a loss sees them (Shi et al. 2021, Medical Image Analysis, arXiv 2007.03868: marginal loss). A sigmoid of a
structure that nobody drew is set to the answer that costs nothing. Either way no gradient says that it is absent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segtrain.core.task import Activation

IMPOSSIBLE = -1e4
"""Logit of a probability that is 0 in float32 and stays finite in every precision."""


def with_known_alone(logits: Tensor, hidden: Tensor, activation: Activation) -> Tensor:
    """Logits (B, C, *S) in which hidden outputs (B, C), true where a sample's mask lacks them, take no part."""
    where = hidden.view(*hidden.shape, *[1] * (logits.ndim - 2))
    known = logits.masked_fill(where, IMPOSSIBLE)
    if activation == "sigmoid":
        return known
    merged = where.clone()
    merged[:, 0] = True
    background = logits.masked_fill(~merged, IMPOSSIBLE).logsumexp(1, keepdim=True)
    return torch.cat([background, known[:, 1:]], dim=1)
