"""`segtrain predict`: masks only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segtrain.core.events import Event, Finished
from segtrain.data.cases import find_scans, relocated
from segtrain.recipes.evaluate import predict_cases
from segtrain.recipes.results_folder import open_results, sources_of
from segtrain.recipes.trained import load_ensemble, trained_config


def predict(
    run: Path, images: Path, out: Path, *, device: str = "auto", allow_code: bool = False, overwrite: bool = False
) -> Iterator[Event]:
    """Predict a folder of scans into `out`/predictions; the last event is Finished, with volumes in ml."""
    ensemble = load_ensemble(run, device=device, allow_code=allow_code)
    data = trained_config(run, allow_code=allow_code).data
    cases = find_scans(relocated(data, images.resolve(), None))
    open_results(out, sources_of(cases), overwrite=overwrite)
    outcome = yield from predict_cases(ensemble, cases, out, ())
    volumes = {case.case: dict(case.prediction_ml) for case in outcome.scores}
    result = {"schema_version": 1, "out": str(out), "cases": len(cases), "volumes_ml": volumes}
    yield Finished(out, result, tuple(case for case, _ in outcome.failed))
