"""Epochs, validations and cases in words, for the lines that `progress` shows."""

from __future__ import annotations

from segtrain.core.events import CaseScored, EpochEnded, Validated
from segtrain.core.words import count

SHOWN_LABELS = 6
"""More labels than this are left to metrics.csv and progress.png."""


def epoch_text(epoch: EpochEnded, scores: str = "") -> str:
    """An epoch: loss, scores, rate, seconds, and how many of its steps were left out."""
    skipped = f"  {count(epoch.skipped_steps, 'step')} not finite" if epoch.skipped_steps else ""
    seconds = "" if epoch.seconds is None else f"  {epoch.seconds:.1f} s"
    rest = f"lr {epoch.learning_rate:.2g}{seconds}"
    return f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.train_loss:.4f}{scores}  {rest}{skipped}"


def validation_text(validated: Validated) -> str:
    """The means of a validation, and the first metric by label where there are a few."""
    means = "  ".join(f"{name} {_number(value)}" for name, value in validated.mean.items())
    labels = ", ".join(f"{name} {_number(value)}" for name, value in validated.by_label.items())
    few = len(validated.by_label) in range(2, SHOWN_LABELS + 1)
    return means + (f"  ({labels})" if few else "") + ("  (best)" if validated.improved else "")


def case_scores(event: CaseScored) -> str:
    """The case's mean of each metric over its labels; without a label, that it was predicted."""
    by_label = event.scores.scores.values()
    if not by_label:
        return "predicted"
    names = dict.fromkeys(name for scores in by_label for name in scores)
    whole = [name for name in names if all(name in scores for scores in by_label)]
    return "  ".join(f"{name} {_number(event.scores.mean(name))}" for name in whole)


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
