"""Comparisons of losses, made of a few numbers, for the tests of this folder."""

from __future__ import annotations

from segtrain.reports.breakdown import LabelValues, breakdown
from segtrain.reports.contents import ComparisonReport, LossCost, Rung, SweepFacts
from segtrain.statistics.comparison import Rules, compare
from segtrain.statistics.elimination import Elimination, Standing
from segtrain.statistics.folds import FoldScores
from tests.reports.builders import epochs


def comparison(n=8, *, patients=None, folds=None, **losses):
    """`losses`: how far each lies from a common value; None is a loss that failed."""
    scores = {
        loss: {f"c{i}": 0.5 + 0.02 * i + (shift + 0.001 * (i % 3)) for i in range(n)} if shift is not None else {}
        for loss, shift in losses.items()
    }
    of = {f"c{i}": patients[i] if patients else f"c{i}" for i in range(n)}
    return compare(scores, of, next(iter(losses)), 0, Rules(draws=200), folds)


def of_folds(**losses):
    """The one case of each of two folds of two seeds."""
    names = ("0/0", "0/1", "1/0", "1/1")
    return FoldScores(
        2, {loss: {n: {"c0": v} for n, v in zip(names, values, strict=True)} for loss, values in losses.items()}
    )


def facts(**changes):
    given = {
        "losses": ("dice", "focal", "boom"),
        "baseline": "dice",
        "folds": 2,
        "seeds": (0, 1, 2),
        "cases": 8,
        "patients": 8,
        "patients_known": True,
        "epochs": 6,
        "steps": (6000,),
        "parameters": (344_532,),
        "patches": ("40 × 40 × 16 voxels in batches of 2",),
        "devices": ("cpu",),
        "versions": {"segtrain": "0.1.0", "torch": "2.10"},
    }
    return SweepFacts(**{**given, **changes})


def thirds(losses, labels=("liver",), n=9):
    """Cases of 1 to n ml; each loss is better by 0.1 than the one before it."""
    cases = [f"c{i}" for i in range(n)]
    values = {
        loss: {label: {case: 0.1 * place + 0.01 * i for i, case in enumerate(cases)} for label in labels}
        for place, loss in enumerate(losses)
    }
    volumes = {label: {case: 1.0 + i for i, case in enumerate(cases)} for label in labels}
    return breakdown(LabelValues(values, volumes, {case: case for case in cases}))


def report(names=("dice", "focal", "boom"), n=8, **changes):
    """A sweep whose last loss failed."""
    shifts = {name: 0.05 * place for place, name in enumerate(names)} | {names[-1]: None}
    found = comparison(n, **shifts)
    given = {
        "title": "A sweep",
        "facts": {},
        "config": [],
        "comparisons": {"dice": found, "iou": found},
        "curves": {name: epochs() for name in names[:-1]},
        "notes": [],
        "declared": [],
        "made": facts(losses=tuple(names), baseline=names[0], cases=n, patients=n),
        "agreement": [("dice", "iou", 1.0)],
        "by_label": thirds(names),
        "costs": [LossCost(name, 2, 0.2, 0.1, 0.3, 1.5, 700.0) for name in names[:-1]] + [LossCost(names[-1], 0)],
    }
    return ComparisonReport(**{**given, **changes})


def rung(epoch=6, dropped=("focal",), not_judged=None):
    """What was decided after an epoch of 24, about `dice`, the leader, `ce`, and those that were dropped."""
    rows = [Standing("dice", 0.8, 0.0, None, None, None, None, "leader")]
    rows += [Standing("ce", 0.79, 0.01, -0.01, 0.03, 0.3, 1.0, "kept")]
    rows += [Standing(loss, 0.7, 0.1, 0.05, 0.15, 0.0005, 0.018, "dropped") for loss in dropped]
    return Rung(epoch, 24, "dice", 6, Elimination(tuple(rows), 12, len(dropped)), not_judged or {})
