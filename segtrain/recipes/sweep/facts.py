"""How a sweep was made, as its config and the records of its runs tell it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded
from segtrain.core.plan import Plan
from segtrain.recipes.run_folder import read_record, reading
from segtrain.recipes.sweep.plan import SweepRun, settings_of
from segtrain.recipes.sweep.scores import SweepScores
from segtrain.reports.contents import SweepFacts


def facts_of(
    loaded: Loaded, runs: Sequence[SweepRun], scores: SweepScores, dropped: Collection[str] = ()
) -> SweepFacts:
    """The numbers of a methods section; `dropped`: losses that ended early. DataError where a record is damaged."""
    settings = settings_of(loaded)
    files = [run.folder.record for run in runs if run.folder.record.is_file()]
    by_file = {file: read_record(file) for file in files}
    records = list(by_file.values())
    return SweepFacts(
        losses=tuple(entry.label for entry in settings.losses),
        baseline=settings.baseline,
        folds=settings.folds,
        seeds=settings.seeds,
        cases=len(scores.patients),
        patients=len(set(scores.patients.values())),
        patients_known=scores.patients_known,
        epochs=loaded.config.training.planned_epochs,
        steps=_numbers(records, "total_steps"),
        parameters=_numbers(records, "parameters"),
        patches=tuple(dict.fromkeys(_patches(run) for run in runs if run.folder.plan.is_file())),
        devices=tuple(dict.fromkeys(str(record["device"]) for record in records if "device" in record)),
        versions=_versions(by_file),
        failed=tuple(run.name for run in runs if run.failure is not None),
        unfinished=tuple(
            run.name for run in runs if run.failure is None and not run.is_done and run.entry.label not in dropped
        ),
    )


def definitions_of(runs: Sequence[SweepRun]) -> dict[str, Any]:
    """Metric -> what the first finished run wrote down of it: the tolerance of a surface Dice is part of it."""
    for run in runs:
        if run.is_done:
            file = run.folder.validation / "metrics.json"
            with reading(file):
                return dict(read_record(file).get("definitions", {}))
    return {}


def _numbers(records: Sequence[Mapping[str, Any]], key: str) -> tuple[int, ...]:
    """Each whole number that occurs, the smallest first."""
    return tuple(sorted({number for record in records if isinstance(number := record.get(key), int)}))


def _patches(run: SweepRun) -> str:
    file = run.folder.plan
    with reading(file):
        plan = Plan.model_validate(read_record(file))
    return f"{' × '.join(map(str, plan.patch_size))} voxels in batches of {plan.batch_size}"


def _versions(by_file: Mapping[Path, Mapping[str, Any]]) -> dict[str, str]:
    """Package -> its version, or each of them where runs were made with several."""
    found: dict[str, dict[str, None]] = {}
    for file, record in by_file.items():
        with reading(file):
            for name, version in record.get("versions", {}).items():
                found.setdefault(name, {})[str(version)] = None
    return {name: " and ".join(versions) for name, versions in found.items()}
