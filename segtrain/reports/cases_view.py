"""The rows of an evaluation page that are about cases, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segtrain.core.scores import CaseScores, Score, mean_of_defined
from segtrain.reports.shown_metric import ShownMetric
from segtrain.reports.tables import labels_of
from segtrain.reports.wording import STATUS_WORDS, UNDEFINED, millilitres

MOST_LABEL_COLUMNS = 6
"""Labels up to which the case table has a column each; beyond, it names the worst label of a case."""

MOST_CASE_ROWS = 500
"""Cases that the page lists; all of them are in cases.csv."""


@dataclass(frozen=True)
class Cell:
    """A value in a table of cases."""

    text: str
    word: str = ""
    """Why it is what it is: missed, false alarm, absent."""
    share: float | None = None
    """Length of the bar behind it, 0..1."""


def metrics_in(scores: Sequence[CaseScores]) -> list[str]:
    """Every metric that was computed, in order."""
    return list(dict.fromkeys(name for case in scores for found in case.scores.values() for name in found))


def worst_cases(scores: Sequence[CaseScores], metric: ShownMetric, n: int = 5) -> list[str]:
    """Names of the `n` cases with the worst mean of `metric` over their labels, the worst first.

    Worst is what the metric's card calls so. Cases in which it is nowhere defined are not among them.
    """
    known = [case for case in _worst_first(scores, metric) if _badness(case, metric) is not None]
    return [case.case for case in known[:n]]


def case_table(scores: Sequence[CaseScores], metrics: Sequence[ShownMetric]) -> dict[str, Any]:
    """Heading and rows of the table of cases, by the first metric."""
    metric = metrics[0]
    labels = list(dict.fromkeys(label for case in scores for label in case.scores))
    wide = len(labels) <= MOST_LABEL_COLUMNS
    head = [f"mean {m.heading}" for m in metrics] if len(labels) > 1 or not wide else []
    head += [f"{label} {metric.heading}" for label in labels] if wide else ["worst label"]
    if wide and len(labels) == 1:
        head += [f"{labels[0]} {m.heading}" for m in metrics[1:]]
    rows = [
        {"case": case.case, "patient": case.patient, "cells": _case_cells(case, labels, metrics)}
        for case in _worst_first(scores, metric)[:MOST_CASE_ROWS]
    ]
    return _table(head, rows, scores)


def volume_table(scores: Sequence[CaseScores]) -> dict[str, Any]:
    """Predicted volumes where there is no reference."""
    labels = list(dict.fromkeys(label for case in scores for label in labels_of(case)))
    rows = [
        {
            "case": case.case,
            "patient": case.patient,
            "cells": [Cell(millilitres(case.prediction_ml.get(label))) for label in labels],
        }
        for case in scores[:MOST_CASE_ROWS]
    ]
    return _table([f"{label} (ml)" for label in labels], rows, scores)


def patients_known(scores: Sequence[CaseScores]) -> bool:
    """Whether cases were told to be of patients; else each is a patient of its own name."""
    return any(case.patient != case.case for case in scores)


def unit_of(scores: Sequence[CaseScores]) -> str:
    """What intervals are over: patients, or cases where each is its own patient because none was given."""
    return "patient" if patients_known(scores) else "case"


def _table(head: list[str], rows: list[dict[str, Any]], scores: Sequence[CaseScores]) -> dict[str, Any]:
    hidden = max(0, len(scores) - MOST_CASE_ROWS)
    return {"head": head, "rows": rows, "hidden": hidden, "has_patients": patients_known(scores)}


def _case_cells(case: CaseScores, labels: Sequence[str], metrics: Sequence[ShownMetric]) -> list[Cell]:
    metric = metrics[0]
    wide = len(labels) <= MOST_LABEL_COLUMNS
    means = [_mean_cell(case, m) for m in metrics] if len(labels) > 1 else []
    if not wide:
        return [*means, _worst_label(case, metric)]
    cells = [_cell(case.scores.get(label, {}).get(metric.key), metric) for label in labels]
    if len(labels) == 1:
        cells += [_cell(case.scores.get(labels[0], {}).get(m.key), m) for m in metrics[1:]]
    return means + cells


def _mean_cell(case: CaseScores, metric: ShownMetric) -> Cell:
    value = case.mean(metric.key)
    return Cell(metric.text(value), share=_share(value, metric))


def _cell(found: Score | None, metric: ShownMetric) -> Cell:
    if found is None:
        return Cell(UNDEFINED)
    return Cell(metric.text(found.value), STATUS_WORDS[found.status], _share(found.value, metric))


def _worst_label(case: CaseScores, metric: ShownMetric) -> Cell:
    values = [
        (metric.badness(value), label, found[metric.key])
        for label, found in case.scores.items()
        if metric.key in found and (value := found[metric.key].value) is not None
    ]
    if not values:
        return Cell(UNDEFINED)
    _, label, found = max(values, key=lambda item: item[:2])
    word = STATUS_WORDS[found.status]
    return Cell(f"{label} {metric.text(found.value)}", word)


def _worst_first(scores: Sequence[CaseScores], metric: ShownMetric) -> list[CaseScores]:
    """The worst mean first, undefined ones last."""

    def key(case: CaseScores) -> tuple[bool, float, str]:
        badness = _badness(case, metric)
        return badness is None, 0.0 if badness is None else -badness, case.case

    return sorted(scores, key=key)


def _badness(case: CaseScores, metric: ShownMetric) -> float | None:
    """Mean over labels, each by itself: one drawn too large does not make up for one drawn too small."""
    values = [found[metric.key].counted for found in case.scores.values() if metric.key in found]
    return mean_of_defined(None if value is None else metric.badness(value) for value in values)


def _share(value: float | None, metric: ShownMetric) -> float | None:
    """Bars are for metrics that are shares."""
    return value if metric.is_share and value is not None and 0 <= value <= 1 else None
