"""Flags of `eval` that say what is measured; most stand for a change of `evaluation.*`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from segtrain.core.errors import ConfigError, Problem


class Profile(StrEnum):
    """What kind of structure is judged."""

    organ = "organ"
    lesion = "lesion"
    tubular = "tubular"


Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="dice, iou, hd95, nsd, assd ...; repeat.", show_default=False),
]
MaybeProfile = Annotated[
    Profile | None,
    typer.Option("--profile", help="Metrics for this kind of structure; the report says why.", show_default=False),
]
Tolerances = Annotated[
    list[str] | None,
    typer.Option(
        "--nsd-tolerance-mm",
        metavar="[LABEL=]MM",
        help="Tolerance of nsd; with a label, repeat it for each.",
        show_default=False,
    ),
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="With --predictions: leave out references without a prediction.")
]


class Covering(StrEnum):
    """Who has a voxel that two structures of a mask claim."""

    refuse = "refuse"
    later = "later"


MaybeOverlap = Annotated[
    Covering | None,
    typer.Option(
        "--overlap",
        help="With --predictions: masks whose structures overlap are refused, or the higher id has the voxel.",
        show_default=Covering.refuse.value,
    ),
]


def scoring_overrides(
    metrics: Sequence[str] | None, profile: Profile | None, tolerances: Sequence[str] | None
) -> list[str]:
    """The same as `KEY=VALUE`. ConfigError for a tolerance that is none, and where metrics are chosen in two ways."""
    if metrics and profile:
        hint = "name metrics with --metric, or take those of a --profile"
        raise ConfigError(Problem("metrics are chosen in two ways", "--metric and --profile", hint=hint))
    found = []
    if metrics:
        found.append(f"evaluation.metrics={json.dumps(list(metrics))}")
    if profile:
        found.append(f"evaluation.profile={profile.value}")
    if tolerances:
        found.append(f"evaluation.nsd_tolerance_mm={_tolerance(tolerances)}")
    return found


def _tolerance(texts: Sequence[str]) -> str:
    """One number, or one for each label."""
    parts = [text.rpartition("=") for text in texts]
    problems = [
        Problem(f"{text!r} is no tolerance", "--nsd-tolerance-mm", hint="write it as 2.5, or as liver=3 tumour=1.5")
        for text, (_, _, number) in zip(texts, parts, strict=True)
        if not _is_number(number)
    ]
    labels = [label for label, _, _ in parts]
    if not problems and len(texts) > 1 and ("" in labels or len(set(labels)) < len(labels)):
        why = "it is one number for all labels, or one for each"
        problems = [Problem("the tolerances do not go together", "--nsd-tolerance-mm", why, "name each label once")]
    if problems:
        raise ConfigError(*problems)
    if labels == [""]:
        return parts[0][2]
    return json.dumps({label: float(number) for label, _, number in parts})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
