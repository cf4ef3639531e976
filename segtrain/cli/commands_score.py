"""`eval` and `predict`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segtrain.cli.console import Session
from segtrain.cli.options import AllowCode, Device, On, Overwrite
from segtrain.cli.scoring_flags import (
    AllowMissing,
    Covering,
    MaybeOverlap,
    MaybeProfile,
    Metrics,
    Tolerances,
    scoring_overrides,
)
from segtrain.core.errors import ConfigError, Problem

RUN_HELP = "Folder that `segtrain fit` wrote; repeat it to average the networks of several."
RunsToRead = Annotated[list[Path], typer.Option("--run", metavar="RUN", help=RUN_HELP)]
MaybeRuns = Annotated[list[Path] | None, typer.Option("--run", metavar="RUN", help=RUN_HELP, show_default=False)]
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
        "--out",
        metavar="DIR",
        help="Folder to write to (RUN/eval, or PREDICTIONS-eval, where none is given).",
        show_default=False,
    ),
]
LabelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=ID[,ID]",
        help="With --predictions: a label's name, or a region of several; repeat.",
        show_default=False,
    ),
]
InferenceOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Changes of inference settings, as inference.mirror_axes=[0,1].", show_default=False
    ),
]
LaterOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Changes of evaluation.*, and with --run of inference.*", show_default=False
    ),
]
KeepMasks = Annotated[bool, typer.Option("--resume", help="Keep masks (NIfTI) that are there; make the others.")]


class MaskForm(StrEnum):
    """How masks are written."""

    nii_gz = "nii.gz"
    nii = "nii"
    mha = "mha"
    nrrd = "nrrd"
    png = "png"
    dicom_seg = "dicom-seg"


Form = Annotated[MaskForm, typer.Option("--format", help="Of the masks; png for pictures, dicom-seg for DICOM series.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first case that cannot be used.")]
Probabilities = Annotated[
    bool, typer.Option("--save-probabilities", help="Also write the probabilities of every output, one file a case.")
]


def evaluate(
    session: Session,
    run: MaybeRuns = None,
    override: LaterOverrides = None,
    images: MaybeImages = None,
    predictions: Predictions = None,
    labels: Labels = None,
    out: MaybeOut = None,
    label: LabelNames = None,
    metric: Metrics = None,
    profile: MaybeProfile = None,
    nsd_tolerance_mm: Tolerances = None,
    allow_missing: AllowMissing = False,
    overlap: MaybeOverlap = None,
    device: On = Device.auto,
    allow_code: AllowCode = False,
    overwrite: Overwrite = False,
    resume: KeepMasks = False,
    strict: Strict = False,
    save_probabilities: Probabilities = False,
) -> None:
    """Predict a folder of scans and score it where labels are (--run), or score a folder of masks (--predictions)."""
    from segtrain.cli.progress import show
    from segtrain.cli.results import print_finished

    overrides = [*(override or ()), *scoring_overrides(metric, profile, nsd_tolerance_mm)]
    of_networks = {"--images": images, "--resume": resume, "--strict": strict, "--allow-code": allow_code}
    of_networks["--save-probabilities"] = save_probabilities
    of_masks = {"--label": label, "--allow-missing": allow_missing, "--overlap": overlap}
    if run and images and not predictions and not any(of_masks.values()):
        from segtrain.recipes.evaluate import evaluate_run
        from segtrain.recipes.scoring.predict_cases import Manner

        session.resume = "the same command with --resume"
        manner = Manner(probabilities=save_probabilities, resume=resume, strict=strict)
        events = evaluate_run(
            run,
            images,
            labels,
            out or _beside(run),
            device=device.value,
            allow_code=allow_code,
            overwrite=overwrite,
            overrides=overrides,
            manner=manner,
        )
    elif predictions and labels and not run and not any(of_networks.values()):
        from segtrain.core.files import real_path
        from segtrain.recipes.score_masks import evaluate_masks

        masks = real_path(predictions)
        events = evaluate_masks(
            predictions,
            labels,
            out or masks.parent / f"{masks.name}-eval",
            label_names=_label_names(label),
            overrides=overrides,
            allow_missing=allow_missing,
            overlap=(overlap or Covering.refuse).value,
            overwrite=overwrite,
        )
    else:
        raise ConfigError(*_mixed(run, predictions, labels, of_networks, of_masks))
    print_finished(session, show(events, session))


def predict(
    session: Session,
    run: RunsToRead,
    images: Images,
    out: Out,
    override: InferenceOverrides = None,
    device: On = Device.auto,
    allow_code: AllowCode = False,
    overwrite: Overwrite = False,
    resume: KeepMasks = False,
    strict: Strict = False,
    save_probabilities: Probabilities = False,
    form: Form = MaskForm.nii_gz,
) -> None:
    """Predict a folder of scans: masks only, each on the grid of its scan."""
    from segtrain.cli.progress import show
    from segtrain.cli.results import print_finished
    from segtrain.recipes.predict import predict as recipe
    from segtrain.recipes.scoring.predict_cases import Manner

    session.resume = "the same command with --resume"
    events = recipe(
        run,
        images,
        out,
        device=device.value,
        allow_code=allow_code,
        overwrite=overwrite,
        overrides=override or (),
        manner=Manner(form.value, probabilities=save_probabilities, resume=resume, strict=strict),
    )
    scored = f"segtrain eval --predictions {shlex.quote(str(out / 'predictions'))} --labels DIR"
    print_finished(session, show(events, session), scored)


def _mixed(
    run: list[Path] | None,
    predictions: Path | None,
    labels: Path | None,
    of_networks: Mapping[str, object],
    of_masks: Mapping[str, object],
) -> list[Problem]:
    """Which flags belong to the other way to evaluate, and which folder one lacks."""
    way, other, lent, needed = "--run", "--predictions", of_masks, {"--images": of_networks["--images"]}
    if predictions:
        way, other, lent, needed = "--predictions", "--run", of_networks, {"--labels": labels}
    wrong = [f"{name} goes with {other} alone" for name, given in lent.items() if given]
    wrong += [f"{way} needs {name}" for name, given in needed.items() if not given]
    if bool(run) == bool(predictions):
        wrong = ["--run RUN or --predictions DIR is needed, and not both"]
    hint = "segtrain eval --run RUN --images DIR [--labels DIR], or segtrain eval --predictions DIR --labels DIR"
    return [Problem(what, "command line", hint=hint) for what in wrong]


def _beside(runs: list[Path]) -> Path:
    """Where an evaluation goes that was given no folder. ConfigError for several runs: it is none of theirs."""
    if len(runs) > 1:
        raise ConfigError(Problem("several runs have no folder for their evaluation", "--out", hint="add --out DIR"))
    return runs[0] / "eval"


def _label_names(texts: list[str] | None) -> dict[str, list[int]] | None:
    """`NAME=ID` or `NAME=ID,ID` texts -> name -> ids; None without a text."""
    names: dict[str, list[int]] = {}
    for text in texts or ():
        name, _, numbers = text.partition("=")
        ids = numbers.split(",")
        if not name or not all(number.isdecimal() for number in ids) or name in names:
            hint = "write each name once, as --label liver=1, or --label whole=1,2 for a region"
            raise ConfigError(Problem(f"{text!r} is no label", "--label", hint=hint))
        names[name] = [int(number) for number in ids]
    return names or None
