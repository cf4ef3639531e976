"""What `segtrain fit` begins: one fit, one for each fold, or this process's part in them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Literal

from segtrain.config.load import Loaded
from segtrain.core.events import Event
from segtrain.recipes.cross_validation import cross_validate, fold_folder, sharing_a_store
from segtrain.recipes.fit import fit
from segtrain.recipes.follow import follow
from segtrain.training.ranks import ALONE, Ranks

HeldOut = int | Literal["all"] | None
"""Which fold is held out; None: a share of the cases, by whole patients."""


def fits(
    loaded: Loaded,
    run: Path,
    *,
    fold: HeldOut = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    ranks: Ranks | None = None,
) -> Generator[Event, None, None]:
    """The events of what was asked for, into the folder `run`; raises as `fit`. `ranks` None: one process."""
    ranks = ALONE if ranks is None else ranks
    if not ranks.is_first:
        if fold != "all":
            return follow(loaded, [run], ranks, device=device)
        runs = [fold_folder(run, each) for each in range(loaded.config.training.folds)]
        return follow(sharing_a_store(loaded, run), runs, ranks, device=device)
    if fold == "all":
        return cross_validate(loaded, run, resume=resume, overwrite=overwrite, device=device, ranks=ranks)
    return fit(loaded, run, fold=fold, resume=resume, overwrite=overwrite, device=device, ranks=ranks)
