"""`fit` and `compare-losses`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtrain.cli.console import Session, plain_lines
from segtrain.cli.options import Config, Device, DryRun, On, Overrides, Overwrite, Resume, Run
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.events import Event, Finished
from segtrain.core.launch import Launch, launched

if TYPE_CHECKING:
    from segtrain.config.load import Loaded
    from segtrain.training.ranks import Ranks

Fold = Annotated[
    str | None,
    typer.Option(
        "--fold",
        metavar="K|all",
        help="Hold out fold K of training.folds (from 0), or each.",
        show_default=False,
    ),
]

Workers = Annotated[
    int,
    typer.Option("--workers", min=1, help="Runs at once: each in a process with its share of the cores, or its GPU."),
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
    launch = launched()
    session.speaks = launch is None or launch.is_first
    if dry_run and not session.speaks:
        return
    with nullcontext() if dry_run else _together(launch, device) as ranks:
        loaded = _load(config, overrides)
        number = _fold_number(fold, loaded.config.training.folds)
        folder = run or Path("runs") / (config.stem + {None: "", "all": "-folds"}.get(fold, f"-fold_{number}"))
        command = _command("fit", config, overrides, run=folder, fold=fold, device=device)
        if dry_run:
            _try(session, loaded, folder, number, device)
            session.next(command)
            return
        _either(resume, overwrite)
        session.resume = "the same command with --resume" if ranks else f"{command} --resume"
        from segtrain.recipes.fits import fits

        events = fits(
            loaded,
            folder,
            fold="all" if fold == "all" else number,
            resume=resume,
            overwrite=overwrite,
            device=device.value,
            ranks=ranks,
        )
        finished = _shown(session, events)
    if session.speaks:
        _print(session, finished, f"segtrain eval --run {shlex.quote(str(folder))} --images DIR --labels DIR")


@contextmanager
def _together(launch: Launch | None, device: Device) -> Iterator[Ranks | None]:
    """The other processes, where torchrun started several."""
    if launch is None:
        yield None
        return
    from segtrain.training.ranks import joined

    with joined(launch, device.value) as ranks:
        yield ranks


def compare_losses(
    session: Session,
    config: Config,
    overrides: Overrides = None,
    run: Run = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    device: On = Device.auto,
    workers: Workers = 1,
) -> None:
    """Train the same network with every loss of the config's `compare`, and rank them: runs/NAME-compare, or --run."""
    loaded = _load(config, overrides)
    folder = run or Path("runs") / f"{config.stem}-compare"
    beside = {"workers": workers if workers > 1 else None}
    command = _command("compare-losses", config, overrides, run=folder, device=device, **beside)
    from segtrain.recipes.compare_losses import compare_losses as recipe
    from segtrain.recipes.compare_losses import dry_run as plan_of

    if dry_run:
        session.result(facts := plan_of(loaded), plain_lines(facts))
        session.next(command)
        return
    _either(resume, overwrite)
    session.resume = f"{command} --resume"
    from segtrain.execution.executor import Processes

    executor = Processes(workers)
    events = recipe(loaded, folder, resume=resume, overwrite=overwrite, device=device.value, executor=executor)
    _finish(session, events, "")


def _try(session: Session, loaded: Loaded, run: Path, fold: int | None, device: Device) -> None:
    """Tell what a fit would do, after a few of its steps."""
    from segtrain.cli.progress import show
    from segtrain.cli.tables import dry_run_report
    from segtrain.recipes.dry_run import dry_run as recipe

    facts = show(recipe(loaded, run, fold=fold, device=device.value), session).result
    session.result(facts, *dry_run_report(facts))


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
    _print(session, _shown(session, events), following)


def _shown(session: Session, events: Iterator[Event]) -> Finished:
    from segtrain.cli.progress import show

    return show(events, session)


def _print(session: Session, finished: Finished, following: str) -> None:
    from segtrain.cli.results import print_finished

    print_finished(session, finished, following)


def _command(name: str, config: Path, overrides: list[str] | None, **flags: Any) -> str:
    """The command that was typed, with its defaults written out."""
    given = [(f"--{key}", str(value)) for key, value in flags.items() if value not in (None, Device.auto)]
    words = ["segtrain", name, "--config", str(config), *(overrides or ()), *(word for pair in given for word in pair)]
    return shlex.join(words)
