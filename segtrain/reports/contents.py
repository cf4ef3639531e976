"""What a report is made of, before it is a page: plain values that a recipe fills in.

Every text may come from outside (case names, paths, error messages); the page escapes all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segtrain.core.scores import CaseScores
from segtrain.reports.breakdown import Breakdown
from segtrain.reports.curves import Row
from segtrain.reports.overlays import CaseView
from segtrain.statistics.comparison import Comparison
from segtrain.statistics.elimination import Elimination

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


@dataclass(frozen=True)
class LossCost:
    """What training with one loss costs; None where no run tells."""

    loss: str
    runs: int
    """Runs that trained, were they finished or not."""
    step_seconds: float | None = None
    """Median over runs of the median over epochs."""
    step_seconds_low: float | None = None
    step_seconds_high: float | None = None
    """Of the fastest and the slowest run."""
    run_minutes: float | None = None
    """Median over finished runs, from start-up to validation."""
    memory_mib: float | None = None
    """At most: on a CPU the peak of a process counts what it did before this run."""


@dataclass(frozen=True, eq=False)
class LossPictures:
    """The worst and the best case of one loss by the headline metric, the worst first."""

    loss: str
    cases: Sequence[CaseView]


@dataclass(frozen=True)
class SweepFacts:
    """How a sweep was made: the numbers of a methods section."""

    losses: tuple[str, ...]
    baseline: str
    folds: int
    seeds: tuple[int, ...]
    cases: int
    patients: int
    patients_known: bool
    """Else each case counts as a patient of its own."""
    epochs: int
    steps: tuple[int, ...] = ()
    """Steps of a training, each number that occurs; one where all runs did as many."""
    parameters: tuple[int, ...] = ()
    """Of the network, each number that occurs."""
    patches: tuple[str, ...] = ()
    """Size and number of the patches of a step, as `48 x 48 x 16 voxels in batches of 2`."""
    devices: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    """Runs that diverged."""
    unfinished: tuple[str, ...] = ()
    """Runs that have not ended, or broke off."""

    @property
    def unit(self) -> str:
        """What intervals and tests are over."""
        return "patient" if self.patients_known else "case"


@dataclass(frozen=True)
class Rung:
    """What was decided after an epoch of a sweep that drops losses early."""

    epoch: int
    epochs: int
    """Of a whole training."""
    metric: str
    """By which it was decided: the headline."""
    comparisons: int
    """Of the family of all rungs, as many as p values were corrected for here."""
    found: Elimination
    not_judged: Mapping[str, str]
    """Loss -> why it could not be judged; it went on."""

    @property
    def dropped(self) -> tuple[str, ...]:
        """The best of them first."""
        return tuple(row.loss for row in self.found.standings if row.decision == "dropped")

    @property
    def leader(self) -> str | None:
        """The best loss of the rung."""
        return self.found.standings[0].loss if self.found.standings else None


@dataclass(frozen=True)
class Halving:
    """How a sweep dropped losses early."""

    rungs: tuple[Rung, ...]
    saved: float
    """Share of the steps of all trainings that were left out."""


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
    made: SweepFacts
    seed_sd: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Metric -> loss -> standard deviation of the mean over seeds."""
    pair_seed_sd: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)
    """Metric -> two losses -> standard deviation over seeds of their mean difference."""
    agreement: Sequence[tuple[str, str, float | None]] = ()
    """Two metrics, and Kendall's tau between the orders in which they put the losses."""
    by_label: Breakdown = field(default_factory=dict)
    """Of the headline metric."""
    costs: Sequence[LossCost] = ()
    pictures: Sequence[LossPictures] = ()
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Metric -> what the evaluations wrote down of it."""
    halving: Halving | None = None
    """None: every loss was trained to the end."""
    found_nothing: Mapping[str, str] = field(default_factory=dict)
    """Loss -> by what it has failed though it did not diverge."""
    cautions: Sequence[str] = ()
    """What is known of a loss and should be known to whoever reads its scores."""
