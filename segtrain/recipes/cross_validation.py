"""`segtrain fit --fold all`: one fit for each fold, each in a folder of its own, and their held-out scores as one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded, derived
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Finished, Note, RunEnded
from segtrain.recipes.fit import fit
from segtrain.recipes.fitting.init_from import followed
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import STORE, RunFolder, opened, require_place
from segtrain.recipes.scoring.pooled import pool_folds
from segtrain.recipes.scoring.results_folder import open_results, results_folder
from segtrain.recipes.trained import fold_runs
from segtrain.training.devices import find_device
from segtrain.training.ranks import ALONE, Ranks

POOLED = "validation"
"""Folder, beside those of the folds, of the evaluation of all cases."""


def cross_validate(
    loaded: Loaded,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    ranks: Ranks = ALONE,
) -> Generator[Event, None, None]:
    """Fit every fold of training.folds; the result of the last event lists theirs, and has those of all cases together.

    Raises as a fit; a folder of a fold that may not be written to is told before any is trained, or emptied. With
    `overwrite` all that an earlier one left goes before the first is trained, also folds that there are no more.
    """
    loaded = sharing_a_store(loaded, folder)
    folds = range(loaded.config.training.folds)
    _require_places(folder, len(folds), resume=resume, overwrite=overwrite)
    if overwrite:
        find_device(device, ranks.local_rank)
        try_config(followed(loaded), 0)
        _empty_all(folder)
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    for fold in folds:
        run = fold_folder(folder, fold)
        yield Note(f"{run.name} of {len(folds)}")
        one = fit(loaded, run, fold=fold, resume=resume, overwrite=overwrite, device=device, ranks=ranks)
        with closing(one) as events:
            for event in events:
                if isinstance(event, Finished):
                    results.append({"fold": fold, **event.result})
                    failed += [f"{run.name}: {case}" for case in event.failed]
                else:
                    yield event
        yield RunEnded(run.name, len(results), len(folds), "done")
    together = pool_folds(folder / POOLED, [RunFolder(fold_folder(folder, fold)).validation for fold in folds])
    result = {"schema_version": 1, "run": str(folder), "by_fold": results, **together}
    yield Finished(folder, result, tuple(failed))


def sharing_a_store(loaded: Loaded, folder: Path) -> Loaded:
    """The config with one place for the prepared cases of all folds, where it names none."""
    config = loaded.config
    if config.data.store is not None:
        return loaded
    data = config.data.model_copy(update={"store": folder.resolve() / STORE})
    return derived(loaded, config.model_copy(update={"data": data}), "default")


def fold_folder(folder: Path, fold: int) -> Path:
    """Where the run of a fold lies."""
    return folder / f"fold_{fold}"


def _require_places(folder: Path, folds: int, *, resume: bool, overwrite: bool) -> None:
    """Folds are not put into a run: emptying that one would delete them. Nor beside those of another division."""
    if RunFolder(folder).record.is_file():
        hint = "take another folder with --run NAME"
        raise ConfigError(Problem("the folds would lie in the folder of a run", str(folder), hint=hint))
    runs = [fold_folder(folder, fold) for fold in range(folds)]
    others = [run for run in fold_runs(folder) if run not in runs]
    if others and not overwrite:
        what = f"there are folds beyond the {folds} of training.folds: {', '.join(run.name for run in others)}"
        why = "eval and predict would average their networks with the others"
        hint = "--overwrite starts anew without them, --run NAME takes another folder"
        raise ConfigError(Problem(what, str(folder), why, hint))
    for run in (*runs, *others):
        require_place(run, resume=resume, overwrite=overwrite)


def _empty_all(folder: Path) -> None:
    """First the scores of all folds, so that they never lie beside folds that they are not of."""
    pooled = folder / POOLED
    if pooled.is_dir():
        with results_folder(pooled):
            open_results(pooled, (), overwrite=True, masks=False)
    for run in fold_runs(folder):
        with opened(run, resume=False, overwrite=True):
            pass
        with suppress(OSError):
            run.rmdir()
