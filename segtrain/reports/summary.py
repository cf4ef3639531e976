"""Scores of many cases -> `metrics.json`: means with their intervals, and what no mean can say.

Each mean stands with the number of cases that it is over and of those for which it is undefined. Structures that were
absent, missed or invented are counted in `presence`. No NaN and no infinity: JSON has `null`, and where a distance is
infinite the diagonal of the image stands in for it; `n_infinite` says how often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from statistics import median, stdev
from types import MappingProxyType
from typing import Any

from segtrain.core.scores import CaseScores, mean_of_defined
from segtrain.reports.cases_view import patients_known, unit_of
from segtrain.reports.tables import labels_of
from segtrain.statistics.intervals import mean_interval

SCHEMA_VERSION = 1


def summarise(
    scores: Sequence[CaseScores],
    *,
    failed: Sequence[str] = (),
    definitions: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    seed: int = 0,
) -> dict[str, Any]:
    """The content of `metrics.json` (contract.md), as plain values.

    `mean` is the mean over labels of their means; `failed` the names of cases that could not be scored; `definitions`
    what each metric means, with its unit and version. `unit` is what the intervals are over: `patient`, or `case` where
    nobody told the patients, whose number is null then.
    """
    labels = list(dict.fromkeys(label for case in scores for label in labels_of(case)))
    scored = {label: _metrics_of(scores, label) for label in labels}
    by_label = {
        label: {metric: _statistics(scores, label, metric, seed) for metric in metrics}
        for label, metrics in scored.items()
    }
    metrics = dict.fromkeys(metric for names in scored.values() for metric in names)
    return {
        "schema_version": SCHEMA_VERSION,
        "cases": len(scores),
        "patients": len({case.patient for case in scores}) if patients_known(scores) else None,
        "unit": unit_of(scores),
        "labels": by_label,
        "mean": {metric: _mean_of_means(by_label.values(), metric) for metric in metrics},
        "presence": {label: _presence(scores, label) for label in labels},
        "definitions": {name: dict(said) for name, said in definitions.items()},
        "failed": list(failed),
    }


def _metrics_of(scores: Iterable[CaseScores], label: str) -> list[str]:
    return list(dict.fromkeys(metric for case in scores for metric in case.scores.get(label, {})))


def _statistics(scores: Sequence[CaseScores], label: str, metric: str, seed: int) -> dict[str, Any]:
    """One label and metric over the cases that have it."""
    found = [(c.patient, c.scores[label][metric]) for c in scores if metric in c.scores.get(label, {})]
    defined = [(patient, score.counted) for patient, score in found if score.counted is not None]
    values = [value for _, value in defined if value is not None]
    whole = all(map(isfinite, values))  # somebody's own metric may give anything
    interval = mean_interval(values if whole else [], [patient for patient, _ in defined] if whole else [], seed)
    return {
        "mean": interval.mean,
        "median": median(values) if values and whole else None,
        "std": stdev(values) if len(values) > 1 and whole else None,
        "ci95": None if interval.low is None else [interval.low, interval.high],
        "n": len(values),
        "n_undefined": len(found) - len(values),
        "n_infinite": sum(score.stand_in is not None for _, score in found),
    }


def _mean_of_means(labels: Iterable[dict[str, Any]], metric: str) -> float | None:
    return mean_of_defined(label[metric]["mean"] for label in labels if metric in label)


def _presence(scores: Sequence[CaseScores], label: str) -> dict[str, Any]:
    """How often the structure was there, and was found; and the volume of what was invented or missed, in ml.

    Found means that the prediction holds the label somewhere. Cases without a reference do not count, nor those without
    a prediction where the structure was not there: nobody knows what would have been drawn.
    """
    told = [c for c in scores if label in c.reference_ml and (c.prediction_ml or c.reference_ml[label] > 0)]
    pairs = [(c.reference_ml[label], c.prediction_ml.get(label, 0.0)) for c in told]
    present = [(r, p) for r, p in pairs if r > 0]
    absent = [p for r, p in pairs if r == 0]
    return {
        "present": len(present),
        "found": sum(p > 0 for _, p in present),
        "absent": len(absent),
        "false_alarms": sum(p > 0 for p in absent),
        "false_positive_ml": float(sum(absent)),
        "false_negative_ml": float(sum(r for r, p in present if p == 0)),
    }
