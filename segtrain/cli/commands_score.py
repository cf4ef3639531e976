"""`eval` and `predict`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from segtrain.cli.console import Session
from segtrain.cli.options import AllowCode, Device, On, Overwrite
from segtrain.core.errors import ConfigError, Problem

RunToRead = Annotated[Path, typer.Option("--run", metavar="RUN", help="Folder that `segtrain fit` wrote.")]
MaybeRun = Annotated[
    Path | None, typer.Option("--run", metavar="RUN", help="Folder that `segtrain fit` wrote.", show_default=False)
]
Images = Annotated[Path, typer.Option("--images", metavar="DIR", help="Folder of scans.")]
MaybeImages = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="Folder of scans, with --run.", show_default=False)
]
Predictions = Annotated[
    Path | None,
    typer.Option("--predictions", metavar="DIR", help="Folder of masks to score; no model needed.", show_default=False),
]
Labels = Annotated[
    Path | None, typer.Option("--labels", metavar="DIR", help="Folder of reference masks.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the masks.")]
MaybeOut = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Folder to write to [default: RUN/eval, or PREDICTIONS-eval].", show_default=False
    ),
]
LabelNames = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=ID", help="With --predictions: a label's name; repeat.", show_default=False),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="With --predictions: dice, iou ...; repeat.", show_default=False),
]


def evaluate(
    session: Session,
    run: MaybeRun = None,
    images: MaybeImages = None,
    predictions: Predictions = None,
    labels: Labels = None,
    out: MaybeOut = None,
    label: LabelNames = None,
    metric: Metrics = None,
    device: On = Device.auto,
    allow_code: AllowCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict a folder of scans and score it where labels are (--run), or score a folder of masks (--predictions)."""
    from segtrain.cli.progress import show
    from segtrain.cli.results import print_finished

    if run is not None and images is not None and predictions is None and not label and not metric:
        from segtrain.recipes.evaluate import evaluate_run

        target = out or run / "eval"
        flags: dict[str, bool] = {"allow_code": allow_code, "overwrite": overwrite}
        events = evaluate_run(run, images, labels, target, device=device.value, **flags)
    elif predictions is not None and labels is not None and run is None and images is None:
        from segtrain.metrics.settings import EvaluationSettings
        from segtrain.recipes.evaluate import evaluate_masks

        masks = predictions.resolve()
        target = out or masks.parent / f"{masks.name}-eval"
        metrics = tuple(metric) if metric else EvaluationSettings().metrics
        names = _label_names(label)
        events = evaluate_masks(predictions, labels, target, label_names=names, metrics=metrics, overwrite=overwrite)
    else:
        hint = "segtrain eval --run RUN --images DIR [--labels DIR], or segtrain eval --predictions DIR --labels DIR"
        raise ConfigError(Problem("these flags do not go together", "command line", hint=hint))
    print_finished(session, show(events, session))


def predict(
    session: Session,
    run: RunToRead,
    images: Images,
    out: Out,
    device: On = Device.auto,
    allow_code: AllowCode = False,
    overwrite: Overwrite = False,
) -> None:
    """Predict a folder of scans: masks only, each on the grid of its scan."""
    from segtrain.cli.progress import show
    from segtrain.cli.results import print_finished
    from segtrain.recipes.predict import predict as recipe

    events = recipe(run, images, out, device=device.value, allow_code=allow_code, overwrite=overwrite)
    following = f"segtrain eval --predictions {shlex.quote(str(out / 'predictions'))} --labels DIR"
    print_finished(session, show(events, session), following)


def _label_names(texts: list[str] | None) -> dict[str, int] | None:
    """`NAME=ID` texts -> name -> id, the background added where it is missing; None without a text."""
    names: dict[str, int] = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        if not name or not number.isdecimal() or name in names or int(number) in names.values():
            hint = "write each name and each id once, as --label liver=1"
            raise ConfigError(Problem(f"{text!r} is no label", "--label", hint=hint))
        names[name] = int(number)
    if not names:
        return None
    return names if 0 in names.values() else {"background": 0, **names}
