"""`segtrain predict`: masks only."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from segtrain.config.at_prediction import require_changeable
from segtrain.core.events import Event, Finished
from segtrain.core.files import real_path
from segtrain.data.cases import find_scans
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.evaluate import write_volumes
from segtrain.recipes.room import masks_need, require_room
from segtrain.recipes.scoring.made_by import begin, drawn_by
from segtrain.recipes.scoring.predict_cases import Manner, predict_cases
from segtrain.recipes.scoring.results_folder import results_folder
from segtrain.recipes.trained import load_ensemble, trained_config


def predict(
    runs: Path | Sequence[Path],
    images: Path,
    out: Path,
    *,
    device: str = "auto",
    allow_code: bool = False,
    overwrite: bool = False,
    overrides: Sequence[str] = (),
    manner: Manner | None = None,
) -> Generator[Event, None, None]:
    """Predict a folder of scans into `out`/predictions; the last event is Finished, with volumes in ml.

    Several runs predict together, as an ensemble. `overrides` change `inference.*`.
    """
    folders = [runs] if isinstance(runs, Path) else list(runs)
    manner = drawn_by(folders, manner)
    require_changeable(overrides, ("inference",))
    ensemble = load_ensemble(folders, device=device, allow_code=allow_code, overrides=overrides)
    data = trained_config(folders[0], allow_code=allow_code).data
    scans = find_scans(data, real_path(images))
    if manner.strict:
        scans.require_all()
    outputs = len(ensemble.output_names) if manner.probabilities else 0
    require_room([masks_need(scans.cases, out, outputs)])
    with results_folder(out):
        yield from begin(out, folders, ensemble, scans.cases, manner, overwrite=overwrite)
        outcome = yield from predict_cases(ensemble, scans.cases, out, EvaluationSettings(), manner, scans.faults)
        volumes = {case.case: dict(case.prediction_ml) for case in outcome.scores}
        write_volumes(out, ensemble.task, volumes)
    result = {"schema_version": 1, "out": str(out), "cases": len(volumes), "volumes_ml": volumes}
    yield Finished(out, result, tuple(case for case, _ in outcome.failed))
