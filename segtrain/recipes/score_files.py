"""Two mask files -> scores, for those who work in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segtrain.core.case import ScanSource
from segtrain.core.scores import Score
from segtrain.data.read import Canvas, common_grid, read_labels
from segtrain.data.same_grid import require_same_grid
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
    """`segtrain.metrics.score` of two mask files of any kind that is read, with the spacing they have.

    Raises UnreadableScan, and GridMismatch where the two do not lie on one grid, beside what `score` raises.
    """
    files = Path(reference), Path(prediction)
    canvas = Canvas(
        common_grid(*files), {name: label for name, label in (labels or {}).items() if isinstance(label, int)}
    )
    wanted, found = (read_labels(ScanSource(path), canvas=canvas) for path in files)
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
