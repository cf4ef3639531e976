"""What came of predicting or scoring many cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segtrain.core.case import Case
from segtrain.core.scores import CaseScores
from segtrain.recipes.run_report import ScoredFiles


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of the cases."""

    scores: tuple[CaseScores, ...]
    """Without a reference, a case has volumes only."""
    files: tuple[ScoredFiles, ...]
    failed: tuple[tuple[str, str], ...]
    """Case and message."""


def joined_outcome(cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Outcome:
    """What came of cases that several processes shared, in the order of the cases."""
    place = {case.id: number for number, case in enumerate(cases)}
    scores = sorted((s for one in outcomes for s in one.scores), key=lambda scored: place[scored.case])
    files = sorted((f for one in outcomes for f in one.files), key=lambda file: place[file.case])
    failed = sorted((f for one in outcomes for f in one.failed), key=lambda pair: place[pair[0]])
    return Outcome(tuple(scores), tuple(files), tuple(failed))
