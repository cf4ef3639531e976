"""What a report is made of, before it is a page: plain values that a recipe fills in.

Every text may come from outside (case names, paths, error messages); the page escapes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segtrain.core.scores import CaseScores
from segtrain.reports.curves import Row
from segtrain.reports.overlays import CaseView
from segtrain.statistics.comparison import Comparison

ConfigRow = tuple[str, str, str]
"""Key, value, and where it was set: `default`, a file or `command line`."""


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Scores of cases; also the validation of a run."""

    title: str
    facts: Mapping[str, str]
    """What a reader needs to place the numbers: run, versions, number of cases."""
    scores: Sequence[CaseScores]
    summary: Mapping[str, Any]
    """What `summarise` made of `scores`."""
    overlays: Sequence[CaseView]
    """Cases that are shown as pictures."""
    failed: Sequence[tuple[str, str]]
    """Case and message of what could not be done."""
    volumes_only: bool = False
    """There was no reference: predicted volumes and nothing to score."""
    notes: Sequence[str] = ()
    profile: str = ""
    """Why these metrics, in a sentence."""


@dataclass(frozen=True, eq=False)
class TrainingReport:
    """One run: its curves, its configuration, and the validation of its best checkpoint where there is one."""

    title: str
    facts: Mapping[str, str]
    config: Sequence[ConfigRow]
    epochs: Sequence[Row]
    """Rows of `metrics.csv`."""
    validation: EvaluationReport | None = None
    """Scores, summary, pictures and failed cases are shown; its title and facts are not."""
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class ComparisonReport:
    """Losses against each other, by one or more metrics; the first metric is the headline."""

    title: str
    facts: Mapping[str, str]
    config: Sequence[ConfigRow]
    comparisons: Mapping[str, Comparison]
    curves: Mapping[str, Sequence[Row]]
    """Loss -> rows of `metrics.csv`."""
    notes: Sequence[str]
    declared: Sequence[tuple[str, str]]
    """Loss, and how its training differs from the others' by more than the loss."""
    seed_sd: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Metric -> loss -> standard deviation of the mean over seeds."""
