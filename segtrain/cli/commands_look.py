"""`demo`, `check`, `losses`, `report`, `doctor` and `info`: commands that train and score nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from segtrain.cli.console import Session, plain_lines, printable, problem_json, problem_lines
from segtrain.cli.options import Overrides, Overwrite, Safe, loaded_config
from segtrain.cli.results import print_checked, unless_failed
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.words import count

if TYPE_CHECKING:
    from segtrain.config.load import Loaded
    from segtrain.data.repair.repairs import Repairs

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.", show_default=False)]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, an evaluation or a sweep.", show_default=False)
]
Anything = Annotated[Path, typer.Argument(metavar="PATH", help="A scan, a run or a checkpoint.", show_default=False)]
LossName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one loss in full.", show_default=False)]

LossOptions = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="With --plot: options of the loss, as fn_weight=0.9.", show_default=False),
]
Family = Annotated[str | None, typer.Option(metavar="NAME", help="List the losses of one family.", show_default=False)]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="OUT.png", help="Draw how it answers to errors (.png, .svg or .pdf).", show_default=False
    ),
]
Augment = Annotated[
    bool, typer.Option("--augment", help="Draw a patch of the scan as augmentation changes it in training.")
]
OfConfig = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="C", help="Whose data and settings; else defaults.", show_default=False),
]
Mask = Annotated[
    Path | None,
    typer.Option("--label", metavar="MASK", help="Labels to outline; else those of the config.", show_default=False),
]
OfCheck = Annotated[Path | None, typer.Option("--config", "-c", metavar="C", help="The YAML file.", show_default=False)]
DataOrChanges = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATA | KEY=VALUE",
        help="A folder or a table, without --config; with it, changes as training.epochs=5.",
        show_default=False,
    ),
]
AllCases = Annotated[
    Path | None,
    typer.Option("--sheet", metavar="OUT", help="All cases as pictures: OUT.png or OUT.html.", show_default=False),
]
Mended = Annotated[
    Path | None,
    typer.Option("--fix", metavar="DIR", help="Write the data anew, with what can be mended.", show_default=False),
]
Repair = Annotated[
    list[str] | None,
    typer.Option(
        "--repair",
        metavar="NAME",
        help="With --fix, several times: missing-slices, uneven-slices, tilt, nan=VALUE.",
        show_default=False,
    ),
]
Sheet = Annotated[
    Path | None, typer.Option("--out", metavar="OUT.png", help="The picture that --augment writes.", show_default=False)
]


def demo(session: Session, folder: Folder, overwrite: Overwrite = False) -> None:
    """Write the embedded sample data set, with a config that is ready to run."""
    from segtrain.recipes.demo import write_demo_project

    written = write_demo_project(folder, overwrite=overwrite)
    session.result(written, plain_lines(written))
    here = shlex.quote(str(folder))
    session.next(f"segtrain fit --config {here}/config.yaml --run {here}/fit")


def check(
    session: Session,
    data_or_changes: DataOrChanges = None,
    config: OfCheck = None,
    sheet: AllCases = None,
    fix: Mended = None,
    repair: Repair = None,
    safe: Safe = False,
) -> None:
    """List every fault of a config and of its data, or of a folder of scans (as init describes it); train nothing."""
    given = data_or_changes or []
    asked: dict[str, Any] = {"sheet": sheet, "fix": fix}
    if repair:
        asked["repairs"] = _repairs(repair, fix)
    if config is None and len(given) == 1 and "=" not in given[0]:
        _check_data(session, Path(given[0]), asked)
        return
    if config is None:
        hint = "segtrain check --config C [KEY=VALUE ...], or segtrain check DATA"
        raise ConfigError(Problem("there is nothing to check", "command line", hint=hint))
    _tell_faults(session, {"config": str(config)}, loaded_config(config, given, safe=safe), asked)
    session.next(shlex.join(["segtrain", "fit", "--config", str(config), *given]))


def _repairs(words: Sequence[str], fix: Path | None) -> Repairs:
    """What --repair asks for. ConfigError where there is no new folder to write it to."""
    from segtrain.data.repair.repairs import asked_for

    repairs = asked_for(words)
    if fix is None:
        hint = "add --fix DIR: a repaired scan is a new file, and fixes.csv there says what was done"
        raise ConfigError(Problem("--repair is for --fix", "command line", "no scan is changed where it lies", hint))
    return repairs


def _check_data(session: Session, place: Path, asked: Mapping[str, Any]) -> None:
    """Check data as `init` would describe them."""
    from segtrain.cli.commands_init import told
    from segtrain.recipes.init import as_config, facts, guess

    found = guess(place)
    known = facts(found)
    for line in told(known):
        session.say(line)
    with as_config(found) as loaded:
        _tell_faults(session, {"data": str(place), **known}, loaded, {**asked, "name": place.resolve().name})
    session.next(shlex.join(["segtrain", "init", str(place)]))


def _tell_faults(session: Session, about: Mapping[str, Any], loaded: Loaded, asked: Mapping[str, Any]) -> None:
    """Check and print the faults, and what was asked for beside them; exit 1 where there are any faults."""
    from segtrain.cli.progress import show
    from segtrain.recipes.check import check_and_show

    result = show(unless_failed(check_and_show(loaded, **asked)), session).result
    print_checked(session, about, result)
    if problems := result["problems"]:
        session.say(f"{count(len(problems), 'fault')}{' before it was mended' if 'fixed' in result else ''}")
        raise typer.Exit(1)


def losses(
    session: Session, name: LossName = None, options: LossOptions = None, plot: Plot = None, family: Family = None
) -> None:
    """List the losses: name, family, options; or one in full: good for, bad at, formula, paper, options."""
    from segtrain.cli.tables import loss_card
    from segtrain.losses.card import card

    if name is None and plot is not None:
        raise ConfigError(Problem("--plot draws one loss", "command line", hint="segtrain losses NAME --plot out.png"))
    if name is None:
        _list_losses(session, family)
        return
    if options and plot is None:
        hint = "add --plot out.png, or give them to a fit: segtrain fit --config C loss.KEY=VALUE"
        raise ConfigError(Problem("options change the picture alone", "command line", hint=hint))
    one = card(name).to_json()
    drawn = {}
    if plot is not None:
        from segtrain.config.overrides import mapping_of
        from segtrain.losses.response import response_of
        from segtrain.reports.loss_plot import write_loss_plot

        title = " ".join((one["name"], *(options or ())))
        write_loss_plot(plot, title, one["formula"], response_of(one["name"], **mapping_of(options or ())))
        drawn = {"plot": plot}
    session.result({"loss": one, **drawn}, loss_card(one), f"plot: {plot}" if drawn else None)
    if not one["caution"]:
        session.next(f"segtrain fit --config config.yaml loss.name={shlex.quote(one['name'])}")


def _list_losses(session: Session, family: str | None) -> None:
    from segtrain.cli.tables import loss_table
    from segtrain.losses.card import cards

    every = [each.to_json() for each in cards()]
    found = [each for each in every if family in (None, each["family"])]
    if not found:
        families = ", ".join(sorted({each["family"] for each in every}))
        raise ConfigError(Problem(f"no loss is of the family {family!r}", "--family", hint=f"families: {families}"))
    session.result({"losses": found}, loss_table(found))
    session.next("segtrain losses NAME")


def report(session: Session, folder: RunFolder) -> None:
    """Rebuild report.html of a run, an evaluation or a sweep."""
    from segtrain.recipes.report import rebuild

    page = rebuild(folder)
    session.result({"report": str(page)}, f"report: {page}")
    session.next(f"open {shlex.quote(str(page))} in a browser")


def doctor(session: Session) -> None:
    """Try what this machine and this installation can do: packages, devices, memory, disk, file formats."""
    from segtrain.cli.tables import doctor_report
    from segtrain.recipes.doctor import examine

    health = examine()
    problems = {
        "faults": [problem_json(problem) for problem in health.faults],
        "warnings": [problem_json(problem) for problem in health.warnings],
    }
    told = [Text(line) for line in _labelled("warning", health.warnings) + _labelled("fault", health.faults)]
    session.result({**health.facts, **problems, "ok": not health.faults}, *doctor_report(health.facts), *told)
    session.say(count(len(health.faults), "fault") if health.faults else "no faults found")
    if health.faults:
        raise typer.Exit(1)


def _labelled(label: str, problems: Iterable[Problem]) -> list[str]:
    """The lines of problems, the first of each with what it is."""
    found = []
    for problem in problems:
        first, *more = problem_lines(problem)
        found += [f"{label}: {printable(first)}", *map(printable, more)]
    return found


def info(
    session: Session,
    path: Anything,
    overrides: Overrides = None,
    augment: Augment = False,
    config: OfConfig = None,
    label: Mask = None,
    out: Sheet = None,
) -> None:
    """Tell what a scan, a run or a checkpoint is, in words; or show what augmentation makes of a scan."""
    if not augment:
        if overrides or config or label or out:
            what = "--config, --label, --out and KEY=VALUE are for --augment"
            raise ConfigError(Problem(what, "command line", hint="segtrain info --augment SCAN --out sheet.png"))
        from segtrain.recipes.info import describe

        facts = describe(path)
        session.result(facts, plain_lines(facts))
        return
    if out is None or (overrides and config is None):
        what = "--augment needs --out" if out is None else "KEY=VALUE changes a config, and there is none"
        hint = "segtrain info --augment SCAN --out sheet.png [--label MASK] [--config C [KEY=VALUE ...]]"
        raise ConfigError(Problem(what, "command line", hint=hint))
    from segtrain.config.load import load_config
    from segtrain.recipes.augmented import draw_sheet

    loaded = load_config(config, overrides or ()) if config else None
    facts = draw_sheet(path, out, loaded, label)
    session.result(facts, plain_lines(facts))
    session.next(f"open {shlex.quote(str(out))}")
