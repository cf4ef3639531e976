"""Scores, curves and reports for the tests of this folder."""

from __future__ import annotations

import numpy as np

from segtrain.core.scores import CaseScores, Score
from segtrain.core.volume import LabelMap
from segtrain.reports.overlays import Overlay, case_view
from tests.phantoms import grid, scan

HOSTILE = "=cmd|' /C calc'!A0<script>alert('$x_1^2$')</script>&\"'"


def case(name, dice, *, patient=None, label="organ", status="ok", reference_ml=2.0, prediction_ml=1.5):
    iou = None if dice is None else dice / (2 - dice)
    scores = {label: {"dice": Score(dice, status), "iou": Score(iou, status)}}
    return CaseScores(name, patient or name, scores, {label: reference_ml}, {label: prediction_ml})


def many(name, values, metric="dice"):
    """A case of labels l0, l1 ..., a value each."""
    scores = {f"l{i}": {metric: Score(v, "ok")} for i, v in enumerate(values)}
    return CaseScores(name, name, scores, dict.fromkeys(scores, 1.0), dict.fromkeys(scores, 1.0))


def absent(name):
    return case(name, None, status="both_empty", reference_ml=0.0, prediction_ml=0.0)


def missed(name):
    return case(name, 0.0, status="pred_empty", prediction_ml=0.0)


def invented(name):
    return case(name, 0.0, status="ref_empty", reference_ml=0.0)


def epochs(n=6):
    return [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "learning_rate": 0.01,
            "seconds": 1.0,
            "dice": 0.8 - 0.5 / e if e % 2 else None,
            "iou": float("nan"),
        }
        for e in range(1, n + 1)
    ]


def overlay(name="P01", *, on=None, with_reference=True, empty=False):
    image, label = scan(on or grid(degrees=20, flips=(-1, 1, -1)))
    mask = np.zeros_like(label.array) if empty else label.array
    prediction = LabelMap(np.roll(mask, 2, axis=0), label.grid)
    reference = LabelMap(mask, label.grid) if with_reference else None
    return Overlay(name, f"caption of {name}", image, prediction, reference, {0: "background", 1: "organ"})


def picture(name="P01", **changes):
    return case_view(overlay(name, **changes))
