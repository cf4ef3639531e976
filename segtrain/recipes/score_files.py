"""Two mask files -> scores, for those who work in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.scores import Score
from segtrain.data.read import read_labels, require_same_grid
from segtrain.metrics.score_case import score
from segtrain.metrics.settings import DEFAULT_METRICS


def score_files(
    prediction: Path | str,
    reference: Path | str,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    nsd_tolerance_mm: float | Mapping[str, float] | None = None,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    ignore: int | None = None,
) -> dict[str, dict[str, Score]]:
    """`segtrain.metrics.score` of two mask files (NIfTI, or a folder of DICOM slices), with the spacing they have.

    Raises UnreadableScan, and GridMismatch where the two do not lie on one grid, beside what `score` raises.
    """
    wanted, found = (read_labels(ScanSource(Path(path))) for path in (reference, prediction))
    require_same_grid(wanted.grid, found.grid, names=("reference", "prediction"))
    return score(
        found.array,
        wanted.array,
        wanted.grid.spacing_mm,
        metrics=metrics,
        nsd_tolerance_mm=nsd_tolerance_mm,
        labels=labels,
        ignore=ignore,
    )
