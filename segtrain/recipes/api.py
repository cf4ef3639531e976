"""The commands as functions: `from segtrain import fit, evaluate, compare_losses`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from segtrain.config.load import Loaded, from_python, load_config
from segtrain.config.schema import FitConfig
from segtrain.core.events import Event, Finished
from segtrain.core.launch import launched
from segtrain.core.task import Overlap
from segtrain.recipes.bars import Bars
from segtrain.recipes.compare_losses import compare_losses as compare_recipe
from segtrain.recipes.evaluate import evaluate_run
from segtrain.recipes.fits import HeldOut, fits
from segtrain.recipes.score_masks import evaluate_masks
from segtrain.recipes.sweep.executors import Where, executor_for
from segtrain.training.ranks import ALONE, Ranks, joined

Watch = Callable[[Event], None]
"""Called with every event of a recipe: steps, epochs, cases. Without one, progress is shown by `Bars`."""


def fit(
    config: FitConfig | Path | str,
    run: Path | str,
    *,
    overrides: Sequence[str] = (),
    fold: HeldOut = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    watch: Watch | None = None,
) -> dict[str, Any]:
    """`segtrain fit`, with `fold` a number, "all" or None. Returns what `--json` prints: scores, and where all lies.

    Raises SegtrainError, whose `problems` say what is wrong and how to mend it. In a script that torchrun started
    several times, only the first process writes, is watched, and returns scores.
    """

    def events(ranks: Ranks) -> Generator[Event, None, None]:
        place = _loaded(config, overrides), Path(run)
        return fits(*place, fold=fold, resume=resume, overwrite=overwrite, device=device, ranks=ranks)

    launch = launched()
    if launch is None:
        return _result(events(ALONE), watch)
    with joined(launch, device) as ranks:
        return _result(events(ranks), watch if ranks.is_first else _unwatched)


def compare_losses(
    config: FitConfig | Path | str,
    run: Path | str,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    workers: int | None = None,
    executor: str = "processes",
    address: str | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """`segtrain compare-losses`. Returns the ranking and every pair. Raises SegtrainError.

    `workers` runs are done at once, here or, with the executor "ray", on the cluster at an address.
    """
    loaded, folder = _loaded(config, overrides), Path(run)
    with executor_for(Where(executor, workers, address), folder, device) as (doing, target):
        flags = {"resume": resume, "overwrite": overwrite}
        return _result(compare_recipe(loaded, folder, **flags, device=target, executor=doing), watch)


def evaluate(
    *,
    out: Path | str,
    run: Path | str | Sequence[Path | str] | None = None,
    images: Path | str | None = None,
    predictions: Path | str | None = None,
    labels: Path | str | None = None,
    label_names: Mapping[str, Sequence[int]] | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    allow_code: bool = False,
    allow_missing: bool = False,
    overlap: Overlap = "refuse",
    overwrite: bool = False,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """`segtrain eval`: `run` and `images` (and `labels`), or `predictions` and `labels`. Raises SegtrainError.

    `overrides` are the command's: `evaluation.metrics=[dice, hd95]`, for runs also `inference.*`. `label_names`,
    `allow_missing` and `overlap` (that of `Task`) are for masks; the code that a run names is run with `allow_code`
    only. `overwrite` deletes the results that lie in `out`.
    """
    if run is not None and images is not None and predictions is None:
        runs = [Path(run)] if isinstance(run, str | Path) else [Path(each) for each in run]
        places = runs, Path(images), Path(labels) if labels is not None else None, Path(out)
        events = evaluate_run(*places, device=device, allow_code=allow_code, overwrite=overwrite, overrides=overrides)
        return _result(events, watch)
    if predictions is not None and labels is not None and run is None and images is None:
        masks = Path(predictions), Path(labels), Path(out)
        events = evaluate_masks(
            *masks,
            label_names=label_names,
            overrides=overrides,
            allow_missing=allow_missing,
            overlap=overlap,
            overwrite=overwrite,
        )
        return _result(events, watch)
    raise TypeError("give run and images (and labels), or predictions and labels")


def _loaded(config: FitConfig | Path | str, overrides: Sequence[str]) -> Loaded:
    if isinstance(config, FitConfig):
        if overrides:
            raise TypeError("overrides change a config file; change a config object with its model_copy")
        return from_python(config)
    return load_config(Path(config), overrides)


def _unwatched(event: Event) -> None:
    del event


def _result(events: Generator[Event, None, None], watch: Watch | None) -> dict[str, Any]:
    """The result of a recipe; where `watch` breaks off, the recipe is closed at once, so that it saves its work."""
    last: Event | None = None
    see = Bars() if watch is None else watch
    with closing(events):
        for last in events:
            see(last)
    if not isinstance(last, Finished):
        raise RuntimeError(f"a recipe ended with {last!r} instead of Finished")
    return {**last.result, "failed": list(last.failed)}
