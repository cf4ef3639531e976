"""`fit` and `compare-losses`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtrain.cli.console import Session, plain_lines
from segtrain.cli.options import Config, Device, DryRun, On, Overrides, Overwrite, Resume, Run
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event

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
    number = _fold_number(fold, loaded.config.training.folds)
    folder = run or Path("runs") / (config.stem + {None: "", "all": "-folds"}.get(fold, f"-fold_{number}"))
    command = _command("fit", config, overrides, run=folder, fold=fold, device=device)
    from segtrain.recipes.fit import dry_run as plan_of
    from segtrain.recipes.fit import fit as recipe

    if dry_run:
        session.result(facts := plan_of(loaded, fold=number, device=device.value), plain_lines(facts))
        session.next(command)
        return
    _either(resume, overwrite)
    session.resume = f"{command} --resume"
    train: Callable[..., Iterator[Event]] = partial(recipe, fold=number)
    trained = folder
    if fold == "all":
        from segtrain.recipes.cross_validation import cross_validate, fold_folder

        train, trained = cross_validate, fold_folder(folder, 0)
    events = train(loaded, folder, resume=resume, overwrite=overwrite, device=device.value)
    _finish(session, events, f"segtrain eval --run {shlex.quote(str(trained))} --images DIR --labels DIR")


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


def _fold_number(fold: str | None, count: int) -> int | None:
    """The fold that `--fold` asks for; of all of them the first."""
    if fold is None:
        return None
    if fold == "all":
        return 0
    if not fold.isdecimal() or int(fold) >= count:
        hint = f"take 0 to {count - 1} (training.folds is {count}), or all"
        raise ConfigError(Problem(f"there is no fold {fold!r}", "--fold", hint=hint))
    return int(fold)


def _either(resume: bool, overwrite: bool) -> None:
    if resume and overwrite:
        raise ConfigError(
            Problem("--resume and --overwrite exclude each other", "command line", hint="give one of them")
        )


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
