"""`segtrain fit --fold all`: one fit for each fold, each in a folder of its own, and their held-out scores as one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded, derived
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Finished, Note, RunEnded
from segtrain.recipes.fit import fit
from segtrain.recipes.run_folder import STORE, RunFolder, require_place
from segtrain.recipes.scoring.pooled import pool_folds
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

    Raises as a fit; a folder of a fold that may not be written to is told before any is trained.
    """
    loaded = sharing_a_store(loaded, folder)
    folds = range(loaded.config.training.folds)
    _require_places([fold_folder(folder, fold) for fold in folds], folder, resume=resume, overwrite=overwrite)
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


def _require_places(runs: Sequence[Path], folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Folds are not put into a run: emptying that one would delete them."""
    if RunFolder(folder).record.is_file():
        hint = "take another folder with --run NAME"
        raise ConfigError(Problem("the folds would lie in the folder of a run", str(folder), hint=hint))
    for run in runs:
        require_place(run, resume=resume, overwrite=overwrite)
