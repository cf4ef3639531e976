"""`demo`, `check`, `losses`, `report` and `info`: commands that train and score nothing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from segtrain.cli.console import Session, plain_lines, problem_json, problem_lines
from segtrain.cli.options import Config, Overrides, Overwrite
from segtrain.core.errors import ConfigError, Problem

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.", show_default=False)]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, an evaluation or a sweep.", show_default=False)
]
Anything = Annotated[Path, typer.Argument(metavar="PATH", help="A scan, a run or a checkpoint.", show_default=False)]
LossName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one loss in full.", show_default=False)]

Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="OUT.png", help="Draw how it answers to errors (.png, .svg or .pdf).", show_default=False
    ),
]


def demo(session: Session, folder: Folder, overwrite: Overwrite = False) -> None:
    """Write the embedded sample data set, with a config that is ready to run."""
    from segtrain.recipes.demo import write_demo_project

    written = write_demo_project(folder, overwrite=overwrite)
    session.result(written, plain_lines(written))
    here = shlex.quote(str(folder))
    session.next(f"segtrain fit --config {here}/config.yaml --run {here}/fit")


def check(session: Session, config: Config, overrides: Overrides = None) -> None:
    """List every fault of the config and of its data; train nothing."""
    from segtrain.config.load import load_config
    from segtrain.recipes.check import check as recipe

    problems = recipe(load_config(config, overrides or ()))
    found = [problem_json(problem) for problem in problems]
    lines = [line for problem in problems for line in problem_lines(problem)]
    text = "\n".join(lines) if problems else "no faults found"
    session.result({"config": str(config), "ok": not problems, "problems": found}, text)
    if problems:
        session.say(f"{len(problems)} fault{'s' if len(problems) > 1 else ''}")
        raise typer.Exit(1)
    session.next(shlex.join(["segtrain", "fit", "--config", str(config), *(overrides or ())]))


def losses(session: Session, name: LossName = None, plot: Plot = None) -> None:
    """List the losses: name, family, options; or one in full: good for, bad at, formula, paper, options."""
    from segtrain.cli.tables import loss_card, loss_table
    from segtrain.losses.card import card, cards

    if name is None and plot is not None:
        raise ConfigError(Problem("--plot draws one loss", "command line", hint="segtrain losses NAME --plot out.png"))
    if name is None:
        found = [each.to_json() for each in cards()]
        session.result({"losses": found}, loss_table(found))
        session.next("segtrain losses NAME")
    else:
        one = card(name).to_json()
        drawn = {}
        if plot is not None:
            from segtrain.losses.response import response_of
            from segtrain.reports.loss_plot import write_loss_plot

            write_loss_plot(plot, one["name"], one["formula"], response_of(one["name"]))
            drawn = {"plot": plot}
        session.result({"loss": one, **drawn}, loss_card(one), f"plot: {plot}" if drawn else None)
        session.next(f"segtrain fit --config config.yaml loss.name={shlex.quote(one['name'])}")


def report(session: Session, folder: RunFolder) -> None:
    """Rebuild report.html of a run, an evaluation or a sweep."""
    from segtrain.recipes.report import rebuild

    page = rebuild(folder)
    session.result({"report": str(page)}, f"report: {page}")
    session.next(f"open {shlex.quote(str(page))} in a browser")


def info(session: Session, path: Anything) -> None:
    """Tell what a scan, a run or a checkpoint is, in words."""
    from segtrain.recipes.info import describe

    facts = describe(path)
    session.result(facts, plain_lines(facts))
