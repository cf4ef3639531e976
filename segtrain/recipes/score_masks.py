"""`segtrain eval --predictions`: a folder of masks against a folder of references; no model needed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from segtrain.config.at_prediction import evaluation_with, require_changeable
from segtrain.core.case import ScanSource
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.core.events import CaseFailed, CaseScored, Event, Note
from segtrain.core.machine import usable_cores
from segtrain.core.scores import CaseScores
from segtrain.core.task import Overlap, Task
from segtrain.core.wrong_values import problems_of
from segtrain.data.cases import mask_files
from segtrain.data.files.formats import format_of
from segtrain.data.read import Canvas, read_labels
from segtrain.execution.workers import Died, each
from segtrain.metrics.chosen import chosen_metrics, require_tolerances
from segtrain.metrics.score_case import scored_structures
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.dataset import MOST_PROCESSES, PROCESSES_PAY_SECONDS
from segtrain.recipes.evaluate import finish_evaluation, report_evaluation
from segtrain.recipes.run_report import ScoredFiles
from segtrain.recipes.scoring.one_pair import MaskPair, ScoredPair, score_pair
from segtrain.recipes.scoring.outcome import Outcome
from segtrain.recipes.scoring.patients import patients_of
from segtrain.recipes.scoring.repeated import Repeated
from segtrain.recipes.scoring.results_folder import PREDICTIONS, open_results, results_folder

MOST_NAMED = 10
"""Cases that a sentence names."""


def evaluate_masks(
    predictions: Path,
    labels: Path,
    out: Path,
    *,
    label_names: Mapping[str, Sequence[int]] | None = None,
    overrides: Sequence[str] = (),
    allow_missing: bool = False,
    overlap: Overlap = "refuse",
    overwrite: bool = False,
) -> Generator[Event, None, None]:
    """Score a folder of masks against a folder of references; the last event is Finished.

    `label_names`: name -> its ids, several for a region. `overrides` say what is measured:
    `evaluation.metrics=[dice, hd95]`, `evaluation.profile=organ` and so on, and by `evaluation.patient_from` whose the
    cases are. A reference whose prediction is
    missing or cannot be used is scored as the worst, and fails by name; with `allow_missing` a missing one is left out.
    `overlap` is that of `Task`, for masks that are drawn structure by structure.
    Predictions without a reference, and ids without a name, are told in a note; what else is in the folders and is no
    mask fails by its name. DataError where no name is in both folders.
    """
    require_changeable(overrides, ("evaluation",))
    evaluation = evaluation_with(EvaluationSettings(), overrides)
    chosen_metrics(evaluation, Path.cwd())
    predictions = masks_in(predictions)
    drawn, known = mask_files(predictions), mask_files(labels)
    found, references, odd = drawn.files, known.files, (*drawn.faults, *known.faults)
    _require_common(found, references, predictions)
    task, doubtful = (named_task(label_names), []) if label_names else _task_in(references, found, overlap)
    task = task.model_copy(update={"overlap": overlap})
    evaluation = with_regions(evaluation, label_names or {}, task)
    require_tolerances(evaluation, list(scored_structures(task, evaluation)))
    wanted = [case for case in references if case in found or not allow_missing]
    patients = patients_of(wanted, evaluation)
    with results_folder(out):
        files = map(ScanSource, [*found.values(), *references.values()])
        open_results(out, files, overwrite=overwrite, masks=False)
        if evaluation.why:
            yield Note(evaluation.why)
        if doubtful:
            why = f"ids that are in predictions only, and are scored all the same: {_some(list(map(str, doubtful)))}"
            yield Note(f"{why}; --label NAME=ID says what is to be scored")
        yield from _alone(found, references, allow_missing=allow_missing)
        cores = usable_cores()
        pairs = [MaskPair(c, patients[c], references[c], found.get(c), task, evaluation, cores) for c in wanted]
        outcome = yield from _with_odd(odd, wanted, (yield from _score(pairs)))
        places = {"predictions": str(predictions.resolve()), "labels": str(labels.resolve())}
        yield report_evaluation(finish_evaluation(out, task, outcome, places, evaluation))


def _with_odd(
    odd: Sequence[tuple[str, Problem]], scored: Sequence[str], outcome: Outcome
) -> Generator[Event, None, Outcome]:
    """The outcome with what is no mask among the failures; where a case of that name is scored, a note tells why."""
    for case, problem in odd:
        if case in scored:
            yield Note(f"{case}: {problem.what} ({problem.where})")
    alone = {case: str(DataError(problem)) for case, problem in odd if case not in scored}
    for number, (case, why) in enumerate(alone.items(), start=1):
        yield CaseFailed(case, why, number, len(alone))
    return replace(outcome, failed=(*outcome.failed, *alone.items()))


def _require_common(found: Mapping[str, Path], references: Mapping[str, Path], predictions: Path) -> None:
    if not found.keys() & references.keys():
        why = f"{_some(sorted(found))} against {_some(sorted(references))}"
        hint = "both folders name a case's mask alike"
        raise DataError(Problem("no prediction has the name of a reference", str(predictions), why, hint))


def _alone(found: Mapping[str, Path], references: Mapping[str, Path], *, allow_missing: bool) -> Iterator[Note]:
    """What is in one folder only, and is not scored."""
    if extra := sorted(found.keys() - references.keys()):
        yield Note(f"not scored, because there is no reference: {_some(extra)}")
    if allow_missing and (missing := sorted(references.keys() - found.keys())):
        yield Note(f"left out, because there is no prediction: {_some(missing)}")


def masks_in(folder: Path) -> Path:
    """The folder, or where it is one that `predict` or `eval` wrote, the folder of masks in it."""
    inside = folder / PREDICTIONS
    has_own = folder.is_dir() and any(format_of(path) for path in folder.iterdir())
    return inside if inside.is_dir() and not has_own else folder


def named_task(names: Mapping[str, Sequence[int]]) -> Task:
    """The task of these labels, with a background where none has id 0; those that only regions have are numbered.

    ConfigError where it is none.
    """
    labels = {name: ids[0] for name, ids in names.items() if len(ids) == 1}
    regions = {name: ids for name, ids in names.items() if len(ids) > 1}
    hint = "a region is a union of labels; 0 is what is in none"
    raise_all(
        ConfigError, (Problem(f"region {n} holds id 0", "--label", hint=hint) for n in regions if 0 in regions[n])
    )
    unnamed = sorted({i for ids in regions.values() for i in ids} - set(labels.values()))
    try:
        background = {} if 0 in labels.values() else {"background": 0}
        return Task(labels={**background, **labels, **{f"label_{i}": i for i in unnamed}})
    except ValidationError as error:
        raise ConfigError(*problems_of(error, Task, "labels")) from error


def with_regions(evaluation: EvaluationSettings, names: Mapping[str, Sequence[int]], task: Task) -> EvaluationSettings:
    """The settings, with each name of several ids as a region."""
    by_id = {label: name for name, label in task.labels.items()}
    regions = {name: tuple(by_id[i] for i in ids) for name, ids in names.items() if len(ids) > 1}
    return evaluation.model_copy(update={"regions": {**evaluation.regions, **regions}})


def _score(pairs: Sequence[MaskPair]) -> Generator[Event, None, Outcome]:
    """Score the first pair, and by its time the others: here, or in several processes."""
    place = {pair.case: number for number, pair in enumerate(pairs)}
    found: dict[str, ScoredPair] = {}
    failed: dict[str, str] = {}
    notes = Repeated()
    for pair, scored in _worked(pairs):
        yield from notes.first(scored.note, pair.case)
        found[pair.case] = scored
        if scored.fault:
            failed[pair.case] = scored.fault
            yield CaseFailed(pair.case, scored.fault, len(found), len(pairs))
        elif scored.scores is not None:
            yield CaseScored(pair.case, len(found), len(pairs), scored.scores)
    yield from notes.rest()
    if others := sorted({i for scored in found.values() for i in scored.others}):
        yield Note(f"ids that have no --label, and counted as background: {_some(list(map(str, others)))}")
    scores = [found[pair.case].scores for pair in pairs]
    if nowhere := _in_no_mask([case for case in scores if case is not None]):
        yield Note(f"in no mask: {_some(nowhere)}")
    files = [
        ScoredFiles(pair.case, (), ScanSource(pair.reference), ScanSource(pair.prediction))
        for pair in pairs
        if pair.prediction and found[pair.case].scores and pair.case not in failed
    ]
    named = sorted(failed.items(), key=lambda item: place[item[0]])
    return Outcome(tuple(s for s in scores if s is not None), tuple(files), tuple(named))


def _in_no_mask(scores: Sequence[CaseScores]) -> list[str]:
    """What is scored and occurs nowhere: its id was perhaps mistyped."""
    volumes = [found for case in scores for found in (case.reference_ml, case.prediction_ml)]
    return [name for name in (scores[0].scores if scores else ()) if not any(found.get(name) for found in volumes)]


def _worked(pairs: Sequence[MaskPair]) -> Iterator[tuple[MaskPair, ScoredPair]]:
    """Every pair with what came of it, in whatever order they get done."""
    first, rest = pairs[0], pairs[1:]
    scored = score_pair(first)
    yield first, scored
    workers = min(usable_cores(), MOST_PROCESSES, len(rest))
    if workers < 2 or scored.seconds * len(rest) < PROCESSES_PAY_SECONDS:
        yield from ((pair, score_pair(pair)) for pair in rest)
        return
    alone = [replace(pair, threads=1) for pair in rest]
    with closing(each(score_pair, alone, workers)) as outcomes:
        for outcome in outcomes:
            if not isinstance(outcome, Died):
                yield outcome.piece, outcome.result
            elif not outcome.again:
                why = f"case {outcome.piece.case}: its process died twice ({outcome.why})"
                yield outcome.piece, ScoredPair(None, 0.0, fault=why)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _task_in(references: Mapping[str, Path], found: Mapping[str, Path], overlap: Overlap) -> tuple[Task, list[int]]:
    """A task that names the ids found in masks: label_1, label_2 ...; and the ids that no reference holds."""
    ids, others = _ids_in(references, overlap), _ids_in(found, overlap)
    if not ids | others:
        raise DataError(Problem("no mask holds a label", hint="every voxel of every mask that can be read is 0"))
    return named_task({f"label_{i}": [i] for i in sorted(ids | others)}), sorted(others - ids)


def _ids_in(masks: Mapping[str, Path], overlap: Overlap) -> set[int]:
    """All but 0. A mask that cannot be read fails as a case."""
    ids, canvas = set[int](), Canvas(None, overlap=overlap)
    for path in masks.values():
        with suppress(DataError):
            ids.update(int(i) for i in np.unique(read_labels(ScanSource(path), canvas=canvas).array))
    return ids - {0}
