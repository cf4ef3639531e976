"""The rows of an evaluation page that are about labels: means of every metric, each metric by itself, and presence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segtrain.core.scores import CaseScores
from segtrain.reports.shown_metric import ShownMetric
from segtrain.reports.strips import label_strips
from segtrain.reports.wording import UNDEFINED, WORST_STATUSES, millilitres
from segtrain.statistics.intervals import Interval, mean_of_means_interval

Row = dict[str, Any]

NO_CELL = {"mean": UNDEFINED, "interval": "", "defined": ""}
"""Of a metric that no case has for this label."""


Totals = Mapping[str, Mapping[str, str]]
"""Metric -> mean over labels, its interval, and how many values there are of how many."""


def totals_of(scores: Sequence[CaseScores], summary: Mapping[str, Any], metrics: Sequence[ShownMetric]) -> Totals:
    """What is said of each metric over all labels."""
    return {metric.key: _total(scores, summary, metric) for metric in metrics}


def overview(summary: Mapping[str, Any], metrics: Sequence[ShownMetric], totals: Totals) -> Row:
    """All metrics beside each other: `head`, and `rows` of cells of mean, interval and both denominators.

    The worst label by the first metric comes first; where there are several, the mean over labels comes last.
    """
    labels = labels_worst_first(summary, metrics[0])
    rows: list[Row] = [{"label": label, "cells": _cells(summary["labels"][label], metrics)} for label in labels]
    if len(labels) > 1:
        rows.append({"label": None, "cells": [totals[m.key] for m in metrics]})
    return {"head": list(metrics), "rows": rows}


def one_by_one(
    scores: Sequence[CaseScores], summary: Mapping[str, Any], metrics: Sequence[ShownMetric], totals: Totals
) -> list[Row]:
    """Each metric with everything that is known of it: a row a label, and its distribution as a drawing."""
    labels = labels_worst_first(summary, metrics[0])
    by_metric = {m.key: [label for label in labels if m.key in summary["labels"][label]] for m in metrics}
    return [{**_one(scores, summary, m, by_metric[m.key]), **totals[m.key]} for m in metrics]


def labels_worst_first(summary: Mapping[str, Any], metric: ShownMetric) -> list[str]:
    """Labels by how good the mean of `metric` is; those without one come last."""

    def goodness(label: str) -> float:
        mean = summary["labels"][label].get(metric.key, {}).get("mean")
        return float("inf") if mean is None else -metric.badness(mean)

    return sorted(summary["labels"], key=goodness)


def overall(scores: Sequence[CaseScores], metric: ShownMetric) -> tuple[Interval, int]:
    """The mean over labels of their means with its interval, and how many values there could be."""
    labels = list(dict.fromkeys(label for case in scores for label in case.scores if metric.key in case.scores[label]))
    found = [[case.scores.get(label, {}).get(metric.key) for label in labels] for case in scores]
    values = [[None if score is None else score.counted for score in row] for row in found]
    total = sum(score is not None for row in found for score in row)
    return mean_of_means_interval(values, [case.patient for case in scores], 0), total


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


def _one(scores: Sequence[CaseScores], summary: Mapping[str, Any], metric: ShownMetric, labels: Sequence[str]) -> Row:
    one_sided = [_one_sided(scores, label, metric) for label in labels]
    return {
        "metric": metric,
        "rows": [
            {"label": label, "one_sided": str(n), **_statistics(summary["labels"][label][metric.key], metric)}
            for label, n in zip(labels, one_sided, strict=True)
        ],
        "has_one_sided": any(one_sided),
        "drawing": label_strips(scores, metric, labels),
    }


def _one_sided(scores: Sequence[CaseScores], label: str, metric: ShownMetric) -> int:
    """Cases in which only one mask holds the label and the metric has its worst value."""
    found = [case.scores.get(label, {}).get(metric.key) for case in scores]
    return sum(s is not None and s.value is not None and s.status in WORST_STATUSES for s in found)


def _cells(found: Mapping[str, Any], metrics: Sequence[ShownMetric]) -> list[dict[str, str]]:
    return [_statistics(found[m.key], m) if m.key in found else NO_CELL for m in metrics]


def _total(scores: Sequence[CaseScores], summary: Mapping[str, Any], metric: ShownMetric) -> dict[str, str]:
    found, total = overall(scores, metric)
    return {
        "mean": metric.text(summary["mean"].get(metric.key)),
        "interval": metric.interval(found.low, found.high),
        "defined": f"{found.n_values} / {total}",
    }


def _statistics(found: Mapping[str, Any], metric: ShownMetric) -> dict[str, str]:
    low, high = found["ci95"] or (None, None)
    return {
        "mean": metric.text(found["mean"]),
        "interval": metric.interval(low, high),
        "median": metric.text(found["median"]),
        "std": metric.spread_text(found["std"]),
        "defined": f"{found['n']} / {found['n'] + found['n_undefined']}",
    }
