"""The rows of an evaluation page: labels, presence, and every case with the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segtrain.core.scores import CaseScores, Score
from segtrain.metrics.registry import METRICS, MetricCard, definition
from segtrain.reports.tables import labels_of
from segtrain.reports.wording import STATUS_WORDS, interval, metric_name, millilitres, number
from segtrain.statistics.intervals import Interval, mean_of_means_interval

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


def cards_of(metrics: Sequence[str]) -> list[MetricCard]:
    """What the known ones among `metrics` mean."""
    known = {*METRICS.names(), *METRICS.aliases()}
    return [definition(name) for name in metrics if name in known]


def worst_cases(scores: Sequence[CaseScores], metric: str, n: int = 5) -> list[str]:
    """Names of the `n` cases with the worst mean of `metric` over their labels, the worst first.

    Worst is what the metric's card calls so. Cases in which it is nowhere defined are not among them.
    """
    known = [case for case in _worst_first(scores, metric) if case.mean(metric) is not None]
    return [case.case for case in known[:n]]


def overall(scores: Sequence[CaseScores], metric: str) -> tuple[Interval, int]:
    """The mean over labels of their means with its interval, and how many values there could be."""
    labels = list(dict.fromkeys(label for case in scores for label in case.scores if metric in case.scores[label]))
    found = [[case.scores.get(label, {}).get(metric) for label in labels] for case in scores]
    values = [[None if score is None else score.value for score in row] for row in found]
    total = sum(score is not None for row in found for score in row)
    return mean_of_means_interval(values, [case.patient for case in scores], 0), total


def label_rows(summary: Mapping[str, Any], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """One row a label, the worst first: for each metric its mean, interval, median, deviation and both denominators."""
    rows = []
    for label, found in summary["labels"].items():
        cells = [_statistics(found.get(metric)) for metric in metrics]
        rows.append({"label": label, "cells": cells, "order": _goodness(found, metrics[0])})
    return sorted(rows, key=lambda row: float(row["order"]))


def presence_rows(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row a label: how often it was there and found, absent and invented, with volumes."""
    return [
        {
            "label": label,
            "found": f"{p['found']} / {p['present']}",
            "false_alarms": f"{p['false_alarms']} / {p['absent']}",
            "missed_ml": millilitres(p["false_negative_ml"]),
            "invented_ml": millilitres(p["false_positive_ml"]),
        }
        for label, p in summary["presence"].items()
    ]


def case_table(scores: Sequence[CaseScores], metrics: Sequence[str]) -> dict[str, Any]:
    """Heading and rows of the table of cases, by the first metric."""
    metric = metrics[0]
    labels = list(dict.fromkeys(label for case in scores for label in case.scores))
    wide = len(labels) <= MOST_LABEL_COLUMNS
    head = [f"mean {metric_name(name)}" for name in metrics] if len(labels) > 1 or not wide else []
    head += [f"{label} {metric_name(metric)}" for label in labels] if wide else ["worst label"]
    if wide and len(labels) == 1:
        head += [f"{labels[0]} {metric_name(name)}" for name in metrics[1:]]
    rows = [
        {"case": case.case, "patient": case.patient, "cells": _case_cells(case, labels, metrics)}
        for case in _worst_first(scores, metric)[:MOST_CASE_ROWS]
    ]
    return {"head": head, "rows": rows, "hidden": max(0, len(scores) - MOST_CASE_ROWS)}


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
    return {"head": [f"{label} (ml)" for label in labels], "rows": rows, "hidden": max(0, len(scores) - MOST_CASE_ROWS)}


def _case_cells(case: CaseScores, labels: Sequence[str], metrics: Sequence[str]) -> list[Cell]:
    metric = metrics[0]
    wide = len(labels) <= MOST_LABEL_COLUMNS
    means = [_mean_cell(case, name) for name in metrics] if len(labels) > 1 else []
    if not wide:
        return [*means, _worst_label(case, metric)]
    cells = [_cell(case.scores.get(label, {}).get(metric), metric) for label in labels]
    if len(labels) == 1:
        cells += [_cell(case.scores.get(labels[0], {}).get(name), name) for name in metrics[1:]]
    return means + cells


def _mean_cell(case: CaseScores, metric: str) -> Cell:
    value = case.mean(metric)
    return Cell(number(value), share=_share(value, metric))


def _cell(found: Score | None, metric: str) -> Cell:
    if found is None:
        return Cell(number(None))
    return Cell(number(found.value), STATUS_WORDS[found.status], _share(found.value, metric))


def _worst_label(case: CaseScores, metric: str) -> Cell:
    values = [
        (_badness(found[metric].value, metric), label, found[metric])
        for label, found in case.scores.items()
        if metric in found and found[metric].value is not None
    ]
    if not values:
        return Cell(number(None))
    _, label, found = max(values, key=lambda item: item[:2])
    word = STATUS_WORDS[found.status]
    return Cell(f"{label} {number(found.value)}", word)


def _worst_first(scores: Sequence[CaseScores], metric: str) -> list[CaseScores]:
    """The worst mean first, undefined ones last."""

    def key(case: CaseScores) -> tuple[bool, float, str]:
        value = case.mean(metric)
        return value is None, -_badness(value, metric), case.case

    return sorted(scores, key=key)


def _badness(value: float | None, metric: str) -> float:
    """The larger, the worse."""
    if value is None:
        return 0.0
    cards = cards_of([metric])
    return cards[0].badness(value) if cards else -value


def _share(value: float | None, metric: str) -> float | None:
    """Bars are for metrics that are shares."""
    cards = cards_of([metric])
    shares = bool(cards) and cards[0].range == (0.0, 1.0)
    return value if shares and value is not None and 0 <= value <= 1 else None


def _statistics(found: Mapping[str, Any] | None) -> dict[str, str]:
    if found is None:
        return {"mean": number(None), "interval": "", "median": "", "std": "", "defined": ""}
    low, high = found["ci95"] or (None, None)
    return {
        "mean": number(found["mean"]),
        "interval": interval(low, high),
        "median": number(found["median"]),
        "std": number(found["std"]),
        "defined": f"{found['n']} / {found['n'] + found['n_undefined']}",
    }


def _goodness(found: Mapping[str, Any], metric: str) -> float:
    """What labels are sorted by: how good the mean is; undefined ones come last."""
    value = found.get(metric, {}).get("mean")
    return float("inf") if value is None else -_badness(value, metric)
