"""`fit` and `compare-losses`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtrain.cli.console import Session
from segtrain.cli.options import Config, Device, DryRun, On, Overrides, Overwrite, Resume, Run, Safe, loaded_config
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


class ExecutorName(StrEnum):
    """Where the runs of a sweep are done."""

    processes = "processes"
    ray = "ray"


Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Runs at once: each in a process with its share of the cores, or its GPU. On a Ray cluster the most.",
        show_default="1; on a Ray cluster as many as it holds",
    ),
]
Executes = Annotated[ExecutorName, typer.Option("--executor", help="Processes of this machine, or a Ray cluster.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="auto|HOST:PORT",
        help="The Ray cluster; auto: the one this machine is a node of.",
        show_default="auto",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads-per-run",
        min=1,
        help="Cores that each run takes on a Ray cluster.",
        show_default="1, or a GPU's share of them",
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
    safe: Safe = False,
) -> None:
    """Train a network into a run folder: runs/NAME, as the config is called, or --run."""
    launch = launched()
    session.speaks = launch is None or launch.is_first
    if dry_run and not session.speaks:
        return
    with nullcontext() if dry_run else _together(launch, device) as ranks:
        loaded = loaded_config(config, overrides, safe=safe)
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
    workers: Workers = None,
    executor: Executes = ExecutorName.processes,
    address: Address = None,
    threads_per_run: Threads = None,
    safe: Safe = False,
) -> None:
    """Train the same network with every loss of the config's `compare`, and rank them: runs/NAME-compare, or --run."""
    loaded = loaded_config(config, overrides, safe=safe)
    folder = run or Path("runs") / f"{config.stem}-compare"
    on_cluster = {"executor": executor, "address": address, "threads-per-run": threads_per_run}
    flags = {"device": device, "workers": workers, **on_cluster}
    command = _command("compare-losses", config, overrides, run=folder, **flags)
    _either(resume, overwrite)
    from segtrain.recipes.compare_losses import compare_losses as recipe
    from segtrain.recipes.sweep.executors import Where, executor_for

    where = Where(executor.value, workers, address, threads_per_run)
    if dry_run:
        if executor is ExecutorName.ray:
            hint = "leave --executor out: it tells what runs take on this machine"
            raise ConfigError(Problem("--dry-run does not ask a cluster", "command line", hint=hint))
        with executor_for(where, folder, device.value):
            _try_sweep(session, loaded, folder, device, workers or 1)
        session.next(command)
        return
    session.resume = f"{command} --resume"
    with executor_for(where, folder, device.value) as (doing, target):
        events = recipe(loaded, folder, resume=resume, overwrite=overwrite, device=target, executor=doing)
        _finish(session, events, "")


def _try(session: Session, loaded: Loaded, run: Path, fold: int | None, device: Device) -> None:
    """Tell what a fit would do, after a few of its steps."""
    from segtrain.cli.progress import show
    from segtrain.cli.tables import dry_run_report
    from segtrain.recipes.dry_run import dry_run as recipe

    facts = show(recipe(loaded, run, fold=fold, device=device.value), session).result
    session.result(facts, *dry_run_report(facts))


def _try_sweep(session: Session, loaded: Loaded, run: Path, device: Device, workers: int) -> None:
    """Tell what a sweep would do, after a few steps of every loss."""
    from segtrain.cli.progress import show
    from segtrain.cli.tables import sweep_dry_run_report
    from segtrain.recipes.sweep_dry_run import dry_run_sweep

    facts = show(dry_run_sweep(loaded, run, device=device.value, workers=workers), session).result
    session.result(facts, *sweep_dry_run_report(facts))


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
    given = [
        (f"--{key}", str(value))
        for key, value in flags.items()
        if value not in (None, Device.auto, ExecutorName.processes)
    ]
    words = ["segtrain", name, "--config", str(config), *(overrides or ()), *(word for pair in given for word in pair)]
    return shlex.join(words)
