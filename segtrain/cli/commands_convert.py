"""`convert`: weights of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtrain.cli.console import Session
from segtrain.cli.options import Overwrite

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A checkpoint of torch, as nnU-Net's .pth.", show_default=False)
]
Target = Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write to.", show_default=False)]
Trust = Annotated[bool, typer.Option("--trust", help="Read it, as you know who made it. Nothing in it is run.")]
Part = Annotated[
    str | None, typer.Option("--part", metavar="NAME", help="Where in the file the weights are.", show_default=False)
]


def convert(
    session: Session, file: File, to: Target, trust: Trust = False, part: Part = None, overwrite: Overwrite = False
) -> None:
    """Write the tensors of another program's checkpoint as safetensors, to start a network of your own from."""
    from segtrain.recipes.convert import convert as recipe

    done = recipe(file, to, trust=trust, part=part, overwrite=overwrite)
    place = f" of {done['part']!r}" if done["part"] else ""
    lines = [f"{len(done['tensors'])} tensors{place} in {to}"]
    if done["not_run"]:
        lines.append(f"named in the file and not run: {', '.join(done['not_run'])}")
    session.result(done, *lines)
    session.next(f"model: {{name: 'net.py:Net', init_from: {to}}} starts a network of your own that has these names")
