"""How a channel is normalised: CT keeps its absolute scale, MR has none."""

from __future__ import annotations

from typing import Literal

import numpy as np

from segtrain.core.plan import ChannelIntensity
from segtrain.data.plan.fingerprint import DatasetFingerprint

CT_MINIMUM = -500.0
"""Values below this are Hounsfield units of air."""


def intensity_rule(data: DatasetFingerprint, index: int, modality: Literal["auto", "mr", "ct"]) -> ChannelIntensity:
    """CT keeps its absolute scale (percentiles, mean and deviation of the training foreground); MR has none."""
    minimum = float(np.median([c.minimum[index] for c in data.cases]))
    if modality == "mr" or (modality == "auto" and minimum > CT_MINIMUM):
        return ChannelIntensity(channel=data.channels[index], rule="zscore")
    samples = data.samples(index).astype(np.float64)
    lower, upper = (float(v) for v in np.percentile(samples, [0.5, 99.5]))
    clipped = np.clip(samples, lower, upper)
    return ChannelIntensity(
        channel=data.channels[index],
        rule="ct",
        lower=lower,
        upper=upper,
        mean=float(clipped.mean()),
        std=max(float(clipped.std()), 1e-6),
    )
