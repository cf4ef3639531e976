"""What long work tells whoever watches: plain values, yielded by generators. Nobody calls back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segtrain.core.scores import CaseScores


@dataclass(frozen=True)
class Note:
    """A sentence a user should read once."""

    text: str


@dataclass(frozen=True)
class StillWorking:
    """Nothing has happened for a moment; other processes work, and who watches may break off here."""


@dataclass(frozen=True)
class CaseRead:
    """One case was read, and its facts are known."""

    case: str
    done: int
    total: int
    seconds: float | None = field(default=None, compare=False)
    """None where they were known before."""


@dataclass(frozen=True)
class CasePrepared:
    """One case is in the store."""

    case: str
    done: int
    total: int
    seconds: float | None = field(default=None, compare=False)
    """None where it was there before."""


@dataclass(frozen=True)
class StepEnded:
    """One optimiser step. Loss values are read once an epoch, so that a step never waits for the device."""

    step: int
    total_steps: int
    epoch: int


@dataclass(frozen=True)
class EpochEnded:
    """All steps of an epoch are done; validation may follow before the next step is asked for."""

    epoch: int
    epochs: int
    step: int
    train_loss: float
    learning_rate: float
    seconds: float | None
    """Without the validation, in all sessions; None where that is not known."""
    skipped_steps: int = 0
    """Steps whose loss or gradient was not finite: they changed no weight."""
    gradient_norm: float | None = None
    """Mean over the other steps, before it was clipped."""


@dataclass(frozen=True)
class Validated:
    """Whole validation cases were scored after an epoch."""

    epoch: int
    mean: dict[str, float | None]
    """Metric -> mean over cases and labels."""
    improved: bool
    by_label: dict[str, float | None] = field(default_factory=dict)
    """Label -> mean of the first metric over cases."""


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is on the disk."""

    name: str
    path: Path


@dataclass(frozen=True, eq=False)
class CaseScored:
    """One case was predicted, and scored where it has a label; without one, only its volumes are known."""

    case: str
    done: int
    total: int
    scores: CaseScores


@dataclass(frozen=True)
class CaseFailed:
    """One case could not be used; the others go on."""

    case: str
    message: str
    done: int
    total: int


@dataclass(frozen=True)
class RunEnded:
    """One run of a sweep ended."""

    name: str
    done: int
    total: int
    message: str


@dataclass(frozen=True)
class Finished:
    """The last event of every recipe: where the results are and what they say."""

    folder: Path
    result: dict[str, Any]
    """What `--json` prints: plain values, with `schema_version`."""
    failed: tuple[str, ...] = ()
    """Cases or runs that could not be done; the others are."""


Event = (
    Note
    | StillWorking
    | CaseRead
    | CasePrepared
    | StepEnded
    | EpochEnded
    | Validated
    | CheckpointSaved
    | CaseScored
    | CaseFailed
    | RunEnded
    | Finished
)
