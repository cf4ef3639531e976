"""The worst and the best case of each loss of a sweep, as pictures; few and bounded, since all lie in one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from segtrain.core.errors import SegtrainError
from segtrain.core.task import Task
from segtrain.core.words import count
from segtrain.recipes.run_folder import read_record, reading
from segtrain.recipes.run_report import RECORD, ScoredFiles, overlay_of
from segtrain.recipes.sweep.plan import SweepRun
from segtrain.recipes.sweep.scores import SweepScores
from segtrain.reports.contents import LossPictures
from segtrain.reports.overlays import CaseView, case_view
from segtrain.reports.shown_metric import ShownMetric

MOST_LETTERS = 6_000_000
"""Of all pictures together: a page of ten million opens at once and goes by mail."""


@dataclass(frozen=True, eq=False)
class Extreme:
    """A case that is the worst or the best of one loss."""

    loss: str
    case: str
    caption: str
    run: SweepRun
    """Whose mask is shown: the first seed's."""


def pictures(
    scores: SweepScores, runs: Sequence[SweepRun], losses: Sequence[str], metric: ShownMetric, notes: list[str]
) -> list[LossPictures]:
    """Pictures of `losses`, in that order; what cannot be shown, or has no room, is noted."""
    found: list[LossPictures] = []
    missing: dict[str, str] = {}
    letters = 0
    for place, loss in enumerate(losses):
        views = list(_views(extremes(scores, runs, loss, metric), missing))
        letters += sum(map(letters_of, views))
        if letters > MOST_LETTERS:
            notes.append(f"no pictures of {', '.join(losses[place:])}: the page would become too large")
            break
        if views:
            found.append(LossPictures(loss, views))
    if missing:
        name, why = next(iter(missing.items()))
        notes.append(f"no picture of {count(len(missing), 'case')}; {name}: {why}")
    return found


def extremes(scores: SweepScores, runs: Sequence[SweepRun], loss: str, metric: ShownMetric) -> list[Extreme]:
    """The worst and the best case of a loss, where there are two; by the mean over labels and seeds."""
    values = scores.values(metric.key)[loss]
    known = {case: value for case, value in values.items() if value is not None}
    order = sorted(known, key=lambda case: (metric.badness(known[case]), case), reverse=True)
    chosen = {"Worst": order[:1], "Best": order[1:][-1:]}
    seed = scores.seeds[0]
    places = {c.case: fold for (s, fold), found in scores.by_run[loss].items() if s == seed for c in found}
    by_place = {(run.seed, run.fold): run for run in runs if run.entry.label == loss}
    several = (
        f", the mean of {len(scores.seeds)} seeds; the mask is that of seed {seed}" if len(scores.seeds) > 1 else ""
    )
    return [
        Extreme(
            loss,
            case,
            f"{word} of {count(len(known), 'case')}: {metric.heading} {metric.text(known[case])}{several}.",
            by_place[seed, places[case]],
        )
        for word, cases in chosen.items()
        for case in cases
    ]


def letters_of(view: CaseView) -> int:
    """About how long a picture is in the page."""
    return sum(len(p.sheet.url) + sum(len(p.packed(role)) for role in view.roles) for p in view.planes)


def _views(chosen: Sequence[Extreme], missing: dict[str, str]) -> Iterator[CaseView]:
    for one in chosen:
        try:
            files, task = _validated(one.run)
            if one.case not in files:
                missing[f"{one.case} by {one.loss}"] = "its mask was not kept"
                continue
            yield case_view(overlay_of(files[one.case], task, one.caption))
        except SegtrainError as error:
            missing[f"{one.case} by {one.loss}"] = " ".join(str(error).split())


def _validated(run: SweepRun) -> tuple[Mapping[str, ScoredFiles], Task]:
    """The files behind the validation of a run. DataError where its record is missing or damaged."""
    file = run.folder.validation / RECORD
    record = read_record(file)
    with reading(file):
        return {found.case: found for found in map(ScoredFiles.from_json, record["files"])}, Task.model_validate(
            record["task"]
        )
