"""`segtrain compare-losses`: one fit for every loss, fold and seed, then their out-of-fold scores side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded
from segtrain.config.schema import CompareSettings, LossEntry, LossSettings
from segtrain.core.errors import ConfigError, DivergedError, Problem
from segtrain.core.events import Event, Finished, RunEnded
from segtrain.core.files import write_json
from segtrain.recipes.fit import fit
from segtrain.recipes.run_folder import RunFolder, locked, open_for_writing, write_record
from segtrain.reports.tables import read_cases_csv, write_csv


@dataclass(frozen=True)
class SweepRun:
    """One fit of a sweep."""

    entry: LossEntry
    fold: int
    seed: int

    def folder(self, sweep: Path) -> Path:
        """runs/LOSS/FOLD/SEED below the sweep."""
        return sweep / "runs" / self.entry.label / str(self.fold) / str(self.seed)


def runs_of(settings: CompareSettings) -> list[SweepRun]:
    """Every combination; all losses of a fold and seed come before the next, so that a cut sweep is still fair."""
    return [SweepRun(e, f, s) for s in settings.seeds for f in range(settings.folds) for e in settings.losses]


def settings_of(loaded: Loaded) -> CompareSettings:
    """The compare section. ConfigError where there is none."""
    if loaded.config.compare is None:
        hint = "compare: {losses: [dice, dice_ce], baseline: dice_ce}"
        raise ConfigError(Problem("the config does not say which losses to compare", "compare", hint=hint))
    return loaded.config.compare


def compare_losses(
    loaded: Loaded, run: Path, *, resume: bool = False, overwrite: bool = False, device: str = "auto"
) -> Iterator[Event]:
    """Fit whatever is not finished; a loss that diverges is kept as failed and the others go on."""
    settings = settings_of(loaded)
    open_for_writing(run, resume=resume, overwrite=overwrite)
    with locked(run):
        write_record(RunFolder(run), {"seeds": list(settings.seeds), "folds": settings.folds})
        runs = runs_of(settings)
        failed: list[str] = []
        for number, one in enumerate(runs, start=1):
            name = f"{one.entry.label}, fold {one.fold}, seed {one.seed}"
            message = "finished before"
            if not (one.folder(run) / "validation" / "metrics.json").is_file():
                try:
                    yield from _fit_one(loaded, one, run, device)
                    message = "done"
                except DivergedError as error:
                    message = str(error)
                    failed.append(name)
            yield RunEnded(name, number, len(runs), message)
        yield _conclude(run, settings, runs, tuple(failed))


def dry_run(loaded: Loaded) -> dict[str, Any]:
    """Which runs a sweep would do."""
    settings = settings_of(loaded)
    labels = [entry.label for entry in settings.losses]
    runs = len(runs_of(settings))
    return {"schema_version": 1, "losses": labels, "folds": settings.folds, "seeds": list(settings.seeds), "runs": runs}


def config_of(loaded: Loaded, one: SweepRun, settings: CompareSettings) -> Loaded:
    """The config of one run: its loss, its seed, and what the sweep declares that this loss trains with."""
    own = {k: v for k, v in one.entry.training.model_dump().items() if v is not None}
    training = loaded.config.training.model_copy(update={"folds": settings.folds, "seed": one.seed, **own})
    loss = LossSettings.model_validate({"name": one.entry.name, **one.entry.options})
    config = loaded.config.model_copy(update={"loss": loss, "training": training, "compare": None})
    return replace(loaded, config=config)


def _fit_one(loaded: Loaded, one: SweepRun, sweep: Path, device: str) -> Iterator[Event]:
    folder = one.folder(sweep)
    config = config_of(loaded, one, settings_of(loaded))
    yield from fit(config, folder, fold=one.fold, resume=folder.exists(), device=device)


def _conclude(run: Path, settings: CompareSettings, runs: list[SweepRun], failed: tuple[str, ...]) -> Finished:
    """Means of every loss over all cases that were held out."""
    rows: list[list[str | float | int | None]] = []
    for entry in settings.losses:
        files = [r.folder(run) / "validation" / "cases.csv" for r in runs if r.entry.label == entry.label]
        scores = [case for file in files if file.is_file() for case in read_cases_csv(file)]
        values = [v for v in (case.mean("dice") for case in scores) if v is not None]
        rows.append([entry.label, sum(values) / len(values) if values else None, len(values)])
    write_csv(run / "ranking.csv", ["loss", "dice", "n"], rows)
    summary = {"schema_version": 1, "ranking": [dict(zip(("loss", "dice", "n"), r, strict=True)) for r in rows]}
    write_json(run / "summary.json", {**summary, "failed": list(failed)})
    return Finished(run, summary, failed)
