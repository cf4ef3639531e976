"""What the other ranks of a fit do: train, validate and score their share of what the first one decided."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path

from segtrain.config.load import Loaded
from segtrain.core.events import Event, Finished
from segtrain.data.splits import Splits
from segtrain.recipes.fit import run_training, score_held_out
from segtrain.recipes.fitting.init_from import followed
from segtrain.recipes.fitting.set_up import Decided, build
from segtrain.recipes.fitting.sound import Sound, try_loss
from segtrain.recipes.run_folder import RunFolder
from segtrain.training.devices import find_device
from segtrain.training.ranks import Ranks


def follow(loaded: Loaded, runs: Sequence[Path], ranks: Ranks, *, device: str = "auto") -> Generator[Event, None, None]:
    """Take part in the fits of the first rank, one after the other; the last event is Finished.

    Raises as a fit. It writes nothing but the masks of the cases that it scores.
    """
    for run in runs:
        yield from _follow_one(loaded, RunFolder(run), device, ranks)
    yield Finished(runs[-1], {"schema_version": 1})


def _follow_one(loaded: Loaded, folder: RunFolder, device: str, ranks: Ranks) -> Generator[Event, None, None]:
    began = time.perf_counter()
    decided: Decided | None = ranks.shared(None)
    if decided is None:  # the run was finished before
        return
    loaded = followed(loaded, folder.config)
    answer, loss = try_loss(loaded)
    sound = Sound(loaded, answer, loss, decided.cases, Splits((decided.fold,), loaded.config.training.seed))
    job = build(sound, decided, folder, find_device(device, ranks.local_rank), ranks, began)
    yield from run_training(job)
    yield from score_held_out(job)
