"""Flags that several commands share, and what every command has: `--json`, `-q`, `-v`, `--debug`, its errors told."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtrain.cli.console import Session
from segtrain.cli.errors import reported
from segtrain.core.errors import ConfigError, EndedElsewhere, Problem
from segtrain.core.launch import launched

if TYPE_CHECKING:
    from segtrain.config.load import Loaded

Body = Callable[..., None]

ON_RANKS = ("fit",)
"""Commands that torchrun may start in several processes."""


class Device(StrEnum):
    """Where a network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


Config = Annotated[Path, typer.Option("--config", "-c", metavar="C", help="The YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Changes of the config, as training.epochs=5.", show_default=False),
]
Run = Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Folder to write to.", show_default=False)]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the run was broken off.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete what is there and start anew.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it takes; keep nothing.")]
On = Annotated[Device, typer.Option("--device", help="Where the network runs.")]
Safe = Annotated[
    bool, typer.Option("--safe", help="Refuse a config that names code (file.py:Class): for those of strangers.")
]
AllowCode = Annotated[
    bool,
    typer.Option("--allow-code", help="Run the code that a run names (file.py:Class), if you trust it."),
]

_COMMON = {
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON object.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")],
    "verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Each case, epoch and checkpoint as well.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
}


def add_command(app: typer.Typer, body: Body, name: str) -> None:
    """Make `body(session, ...)` the command `name`: with the flags that all have, and its errors told.

    typer reads flags from a signature; this writes the one that holds the body's own flags and the common ones.
    """
    _, *own = inspect.signature(body, eval_str=True).parameters.values()

    def call(*, as_json: bool, quiet: bool, verbose: bool, debug: bool, **flags: Any) -> None:
        with reported(Session(as_json, quiet, verbose, debug)) as session:
            if name not in ON_RANKS:
                _require_alone(name)
            body(session, **flags)

    common = [Parameter(key, Parameter.KEYWORD_ONLY, default=False, annotation=kind) for key, kind in _COMMON.items()]
    parameters = [*(p.replace(kind=Parameter.KEYWORD_ONLY) for p in own), *common]
    call.__doc__, call.__name__ = body.__doc__, body.__name__
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    vars(call)["__signature__"] = Signature(parameters)
    app.command(name)(call)


def loaded_config(config: Path, overrides: list[str] | None, *, safe: bool) -> Loaded:
    """The config of a command. ConfigError with all of its faults, and for code in it where `safe` runs none."""
    from segtrain.config.code import require_no_code
    from segtrain.config.load import load_config

    loaded = load_config(config, overrides or ())
    if safe:
        require_no_code(loaded.config)
    return loaded


def _require_alone(name: str) -> None:
    """ConfigError where torchrun started this command several times; all but the first end without a word."""
    launch = launched()
    if launch is None:
        return
    if not launch.is_first:
        raise EndedElsewhere(ConfigError.exit_code)
    hint = f"start it without torchrun, which is for: {', '.join(ON_RANKS)}"
    raise ConfigError(Problem(f"segtrain {name} works in one process", "torchrun", hint=hint))
