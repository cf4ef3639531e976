"""The command `segtrain`. What a command does is in `recipes`, which are imported when a command runs: `--help` and
completion answer without torch.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from segtrain.cli import commands_convert, commands_export, commands_init, commands_look, commands_score, commands_train
from segtrain.cli.options import Body, add_command

app = typer.Typer(
    name="segtrain",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Body] = {
    "demo": commands_look.demo,
    "init": commands_init.init,
    "check": commands_look.check,
    "fit": commands_train.fit,
    "eval": commands_score.evaluate,
    "predict": commands_score.predict,
    "compare-losses": commands_train.compare_losses,
    "export": commands_export.export,
    "convert": commands_convert.convert,
    "losses": commands_look.losses,
    "report": commands_look.report,
    "doctor": commands_look.doctor,
    "info": commands_look.info,
}

for _name, _body in COMMANDS.items():
    add_command(app, _body, _name)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"segtrain {version('segtrain')}")
        raise typer.Exit


@app.callback()
def _segtrain(
    version: Annotated[  # its callback has answered
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train and evaluate medical image segmentation networks, and find out which loss suits your data.

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a check or some cases failed, 2 usage or
    config, 3 data, 4 memory, device or disk, 5 diverged, 6 checkpoint, 130/143 interrupted, 70 a bug.
    """


def run() -> None:
    """Run the command line; a character that a stream cannot show is escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    app(prog_name="segtrain")
