"""Metrics of overlap and volume, each a reading of the voxel counts.

Definitions are those of Taha and Hanbury (BMC Medical Imaging 15:29, 2015) and of Metrics Reloaded (Maier-Hein et
al., Nature Methods 21, 2024), computed from TP, FP, FN and TN and never named after a library: ITK, for one, calls a
signed quantity in -2..2 "volume similarity".
"""

from __future__ import annotations

from math import inf

from segtrain.metrics.empties import WHEN_EMPTY
from segtrain.metrics.pair import Pair
from segtrain.metrics.registry import METRICS, Best, MetricCard


def _card(name: str, definition: str, *, bounds: tuple[float, float] = (0.0, 1.0), best: Best = "higher") -> MetricCard:
    return MetricCard(name, definition, unit="", range=bounds, best=best, when_empty=WHEN_EMPTY[name])


@METRICS.register("dice")
class Dice:
    """2 TP / (2 TP + FP + FN)."""

    card = _card("dice", "Voxels shared by both masks over the mean size of the masks: 2 TP / (2 TP + FP + FN).")

    def measure(self, pair: Pair) -> float:
        """Dice (1945), as a share of voxels."""
        counts = pair.counts
        return 2 * counts.tp / (counts.prediction + counts.reference)


@METRICS.register("iou", "jaccard")
class Iou:
    """TP / (TP + FP + FN)."""

    card = _card(
        "iou",
        "Voxels shared by both masks over voxels in either: TP / (TP + FP + FN); it ranks cases exactly as Dice does.",
    )

    def measure(self, pair: Pair) -> float:
        """Jaccard (1912), as a share of voxels."""
        counts = pair.counts
        return counts.tp / (counts.tp + counts.fp + counts.fn)


@METRICS.register("sensitivity", "recall")
class Sensitivity:
    """TP / (TP + FN)."""

    card = _card("sensitivity", "Share of the reference that the prediction covers: TP / (TP + FN).")

    def measure(self, pair: Pair) -> float:
        """The share found."""
        return pair.counts.tp / pair.counts.reference


@METRICS.register("precision")
class Precision:
    """TP / (TP + FP)."""

    card = _card("precision", "Share of the prediction that lies in the reference: TP / (TP + FP).")

    def measure(self, pair: Pair) -> float:
        """The share that is right."""
        return pair.counts.tp / pair.counts.prediction


@METRICS.register("specificity")
class Specificity:
    """TN / (TN + FP)."""

    card = _card(
        "specificity",
        "Share of what is not in the reference that the prediction leaves free: TN / (TN + FP). It depends on how much "
        "of the body the scan shows: never a headline.",
    )

    def measure(self, pair: Pair) -> float | None:
        """The share left free; None where the reference fills the image."""
        counts = pair.counts
        outside = counts.tn + counts.fp
        return counts.tn / outside if outside else None


@METRICS.register("relative_volume_error")
class RelativeVolumeError:
    """(P - R) / R."""

    card = _card(
        "relative_volume_error",
        "Volume of the prediction beyond that of the reference, as a share of the reference: (P - R) / R, signed.",
        bounds=(-1.0, inf),
        best="zero",
    )

    def measure(self, pair: Pair) -> float:
        """Positive where too much was drawn."""
        counts = pair.counts
        return (counts.prediction - counts.reference) / counts.reference


@METRICS.register("volume_similarity")
class VolumeSimilarity:
    """1 - |P - R| / (P + R)."""

    card = _card(
        "volume_similarity",
        "Agreement of the two volumes, wherever they lie: 1 - |P - R| / (P + R). (ITK gives this name to another one.)",
    )

    def measure(self, pair: Pair) -> float:
        """1 for equal volumes, even where they do not touch."""
        counts = pair.counts
        return 1 - abs(counts.prediction - counts.reference) / (counts.prediction + counts.reference)
