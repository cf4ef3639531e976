"""`fit` and `compare-losses`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segtrain.cli.console import Session, plain_lines
from segtrain.cli.options import Config, Device, DryRun, On, Overrides, Overwrite, Resume, Run
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Finished, Note, RunEnded

if TYPE_CHECKING:
    from segtrain.config.load import Loaded

Fold = Annotated[
    str | None,
    typer.Option(
        "--fold",
        metavar="K|all",
        help="Hold out fold K of training.folds (from 0), or each.",
        show_default=False,
    ),
]


def fit(
    session: Session,
    config: Config,
    overrides: Overrides = None,
    run: Run = None,
    fold: Fold = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    device: On = Device.auto,
) -> None:
    """Train a network into a run folder: runs/NAME, as the config is called, or --run."""
    loaded = _load(config, overrides)
    folds = _folds(fold, loaded.config.training.folds)
    folder = run or Path("runs") / config.stem / (f"fold_{fold}" if fold not in (None, "all") else "")
    command = _command("fit", config, overrides, run=folder, fold=fold, device=device)
    from segtrain.recipes.fit import dry_run as plan_of
    from segtrain.recipes.fit import fit as recipe

    if dry_run:
        session.result(facts := plan_of(loaded, device=device.value), plain_lines(facts))
        session.next(command)
        return
    _either(resume, overwrite)
    session.resume = f"{command} --resume"
    start = partial(recipe, loaded, resume=resume, overwrite=overwrite, device=device.value)
    events = _every_fold(start, folder, folds) if fold == "all" else start(folder, fold=next(iter(folds), None))
    _finish(session, events, f"segtrain eval --run {shlex.quote(str(folder))} --images DIR --labels DIR")


def compare_losses(
    session: Session,
    config: Config,
    overrides: Overrides = None,
    run: Run = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    device: On = Device.auto,
) -> None:
    """Train the same network with every loss of the config's `compare`, and rank them: runs/NAME-compare, or --run."""
    loaded = _load(config, overrides)
    folder = run or Path("runs") / f"{config.stem}-compare"
    command = _command("compare-losses", config, overrides, run=folder, device=device)
    from segtrain.recipes.compare_losses import compare_losses as recipe
    from segtrain.recipes.compare_losses import dry_run as plan_of

    if dry_run:
        session.result(facts := plan_of(loaded), plain_lines(facts))
        session.next(command)
        return
    _either(resume, overwrite)
    session.resume = f"{command} --resume"
    events = recipe(loaded, folder, resume=resume, overwrite=overwrite, device=device.value)
    _finish(session, events, "")


def _load(config: Path, overrides: list[str] | None) -> Loaded:
    from segtrain.config.load import load_config

    return load_config(config, overrides or ())


def _folds(fold: str | None, count: int) -> range:
    """The folds that `--fold` asks for; none is empty."""
    if fold is None:
        return range(0)
    if fold == "all":
        return range(count)
    if not fold.isdecimal() or int(fold) >= count:
        hint = f"take 0 to {count - 1} (training.folds is {count}), or all"
        raise ConfigError(Problem(f"there is no fold {fold!r}", "--fold", hint=hint))
    return range(int(fold), int(fold) + 1)


def _either(resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise ConfigError(
            Problem("--resume and --overwrite exclude each other", "command line", hint="give one of them")
        )


def _every_fold(start: Callable[..., Iterator[Event]], folder: Path, folds: range) -> Iterator[Event]:
    """One run a fold, each in a folder of its own; the result lists theirs."""
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    for fold in folds:
        name = f"fold_{fold}"
        yield Note(f"{name} of {len(folds)}")
        with closing(cast("Generator[Event]", start(folder / name, fold=fold))) as events:
            for event in events:
                if isinstance(event, Finished):
                    results.append({"fold": fold, **event.result})
                    failed += [f"{name}: {case}" for case in event.failed]
                else:
                    yield event
        yield RunEnded(name, len(results), len(folds), "done")
    yield Finished(folder, {"schema_version": 1, "run": str(folder), "by_fold": results}, tuple(failed))


def _finish(session: Session, events: Iterator[Event], following: str) -> None:
    """Show the work, then its result."""
    from segtrain.cli.progress import show
    from segtrain.cli.results import print_finished

    print_finished(session, show(events, session), following)


def _command(name: str, config: Path, overrides: list[str] | None, **flags: Any) -> str:
    """The command that was typed, with its defaults written out."""
    given = [(f"--{key}", str(value)) for key, value in flags.items() if value not in (None, Device.auto)]
    words = ["segtrain", name, "--config", str(config), *(overrides or ()), *(word for pair in given for word in pair)]
    return shlex.join(words)
