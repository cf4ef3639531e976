"""`export`: a network for those who have no segtrain."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from segtrain.cli.console import Session
from segtrain.cli.options import AllowCode, Overwrite


class Form(StrEnum):
    """What a network can be exported as."""

    onnx = "onnx"
    torchscript = "torchscript"


RunToExport = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or of the folds of one.", show_default=False)
]
To = Annotated[
    Form, typer.Option("--to", help="Of both, onnx needs pip install 'segtrain\\[onnx]'.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder to write to, else RUN/export/FORM.", show_default=False),
]


def export(
    session: Session,
    run: RunToExport,
    to: To,
    out: Out = None,
    allow_code: AllowCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a network as a file that answers alike, and a JSON of all that is done before and after it."""
    from segtrain.recipes.export import export as recipe

    target = out or run / "export" / to.value
    done = recipe(run, to.value, target, allow_code=allow_code, overwrite=overwrite)
    session.result(done, *(_line(model) for model in done["models"]))
    session.next("run it as docs/exporting.md shows")


def _line(model: dict[str, Any]) -> str:
    check = model["check"]
    numbers = f"logits differ by at most {check['largest_difference']:.2g}, {check['allowed']:.2g} are allowed"
    return f"{model['network']} and {Path(model['rules']).name}: {numbers}"
