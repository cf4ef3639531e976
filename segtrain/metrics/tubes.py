"""Metrics for vessels, airways and nerves, where being connected matters more than being exact at the wall."""

from __future__ import annotations

import numpy as np

from segtrain.metrics.empties import WHEN_EMPTY
from segtrain.metrics.pair import Pair
from segtrain.metrics.registry import METRICS, MetricCard


@METRICS.register("cldice", "centreline_dice")
class CentrelineDice:
    """Harmonic mean of how much of each skeleton lies in the other mask (Shit et al., CVPR 2021)."""

    card = MetricCard(
        "cldice",
        "Harmonic mean of the share of the prediction's centre line that lies in the reference and the share of the "
        "reference's centre line that lies in the prediction. For tubes only. Where a centre line runs through a thick "
        "mask depends a little on the orientation of the voxel grid.",
        unit="",
        range=(0.0, 1.0),
        best="higher",
        when_empty=WHEN_EMPTY["cldice"],
        cost="skeletons",
    )

    def measure(self, pair: Pair) -> float:
        """Between 0 and 1."""
        (prediction, reference), (own, theirs) = pair.masks, pair.skeletons
        precision = np.count_nonzero(own & reference) / np.count_nonzero(own)
        sensitivity = np.count_nonzero(theirs & prediction) / np.count_nonzero(theirs)
        both = precision + sensitivity
        return float(2 * precision * sensitivity / both) if both else 0.0
