"""What a loss is called beside its numbers: failed where it diverged or found nothing, dropped where it ended early."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from segtrain.core.scores import CaseScores, mean_of_defined
from segtrain.core.words import count
from segtrain.recipes.sweep.scores import SweepScores
from segtrain.reports.contents import Rung
from segtrain.reports.halving_view import drop_sentence
from segtrain.statistics.comparison import Comparison, RankingRow

NOTHING = 0.02
"""A mean Dice below this, and masks below this share of the reference's volume, are as good as none. Not less: who
draws each label where it is not, as `post/combo` learns to, still has a Dice of 0.01 by large masks over small lesions.
"""
DICE = "dice"


@dataclass(frozen=True)
class Endings:
    """What is known of losses beside their scores."""

    diverged: Mapping[str, str]
    """Loss -> why."""
    found_nothing: Mapping[str, str]
    """Loss -> how little it found."""
    rungs: Sequence[Rung]
    without_end: Collection[str] = ()
    """Losses with no run that came to its end, whyever."""


def found_nothing(scores: SweepScores) -> dict[str, str]:
    """Losses that ended without an answer though they did not diverge, and how that shows.

    In each of its runs the mean Dice over labels and cases is below 0.02; where Dice was not measured, or is not
    defined, less than 2 % of the reference's volume is drawn. One run that finds something is enough not to fail.
    """
    found = {}
    for loss, runs in scores.by_run.items():
        shares = [share for cases in runs.values() if (share := _found_in(cases)) is not None]
        if shares and max(share for _, share in shares) < NOTHING:
            words = {what for what, _ in shares}
            most = f"{' or '.join(sorted(words))} at most {max(share for _, share in shares):.3f}"
            found[loss] = f"hits nothing: {most} in {count(len(shares), 'run')}"
    return found


def without_end(scores: SweepScores) -> tuple[str, ...]:
    """Losses with no run that came to its end."""
    return tuple(loss for loss in scores.labels if not scores.by_run[loss])


def with_endings(comparison: Comparison, known: Endings) -> Comparison:
    """The ranking with the status of what failed, and with the rows of what was dropped, before what has no score.

    A loss that found nothing keeps its numbers, its rank and its tests: they are sound.
    """
    rows = [_marked(row, known) for row in comparison.ranking]
    scored = [row for row in rows if row.mean is not None]
    rest = [row for row in rows if row.mean is None]
    return replace(comparison, ranking=(*scored, *dropped_rows(known.rungs, comparison.n_cases), *rest))


def dropped_rows(rungs: Sequence[Rung], n_cases: int) -> Iterator[RankingRow]:
    """A row without a score for each loss that was dropped: the last one to go first."""
    for rung in reversed(rungs):
        for row in rung.found.standings:
            if row.decision == "dropped":
                reason = drop_sentence(rung, row)
                yield RankingRow(
                    loss=row.loss,
                    mean=None,
                    low=None,
                    high=None,
                    n=0,
                    n_total=n_cases,
                    rank=None,
                    mean_rank=None,
                    rank_low=None,
                    rank_high=None,
                    first=None,
                    status="dropped",
                    reason=reason,
                )


def _marked(row: RankingRow, known: Endings) -> RankingRow:
    if row.loss in known.found_nothing:
        return replace(row, status="failed", reason=known.found_nothing[row.loss])
    if row.loss in known.diverged:
        return replace(row, reason=known.diverged[row.loss])
    if row.loss in known.without_end:
        return replace(row, status="incomplete", reason="none of its runs has ended")
    return row


def _found_in(cases: Sequence[CaseScores]) -> tuple[str, float] | None:
    """What one run found: by which measure, and how much; None where there was nothing to find."""
    dice = mean_of_defined(mean_of_defined(of[DICE].counted for of in c.scores.values() if DICE in of) for c in cases)
    if dice is not None:
        return "mean Dice", dice
    there = sum(sum(case.reference_ml.values()) for case in cases)
    drawn = sum(sum(case.prediction_ml.values()) for case in cases)
    return ("share of the volume", drawn / there) if there else None
