"""`segtrain check`: everything that is wrong with a config and its data, in one list. Trains nothing."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch

from segtrain.config.load import Loaded
from segtrain.config.schema import LossSettings
from segtrain.core.errors import Problem, SegtrainError
from segtrain.core.events import Event, Finished, Note
from segtrain.data.cases import judged_cases
from segtrain.data.layouts.by_name import declared_label_faults, passed_over
from segtrain.data.leaks import leaks_in, twins_in
from segtrain.data.plan.fingerprint import CaseFingerprint
from segtrain.data.repair.repairs import NO_REPAIR, Repairs
from segtrain.data.splits import Fold, split_folds
from segtrain.metrics.chosen import chosen_metrics
from segtrain.models.registry import find_model
from segtrain.recipes.assemble import answer_for, make_loss
from segtrain.recipes.contact_sheet import draw_contact_sheet
from segtrain.recipes.dataset import Reading, fingerprint_readable, result_of
from segtrain.recipes.fitting.decide import draw_split, plan_from
from segtrain.recipes.fitting.init_from import followed, try_network
from segtrain.recipes.fitting.sound import cautions_in
from segtrain.recipes.fitting.watch import require_watchers
from segtrain.recipes.mend import mend, require_new_place
from segtrain.reports.contact_sheet import require_sheet


def check(loaded: Loaded) -> list[Problem]:
    """As `checking`, all at once."""
    return result_of(checking(loaded))


def checking(loaded: Loaded) -> Generator[Reading, None, list[Problem]]:
    """Every fault of watchers, network, losses, metrics, labels, cases and scans; empty where there is none.

    A Note is no fault and should be known all the same, as a spacing that was assumed.
    """
    parts = (_of_watchers, _of_network, _of_losses, _of_metrics, _of_declared_labels)
    problems = [problem for part in parts for problem in part(loaded)]
    if not problems:
        yield from map(Note, cautions_in(loaded))
    problems += yield from _of_data(loaded)
    return list(dict.fromkeys(problems))


def check_and_show(
    loaded: Loaded, *, sheet: Path | None = None, fix: Path | None = None, repairs: Repairs = NO_REPAIR, name: str = ""
) -> Generator[Event, None, None]:
    """`checking`, then what was asked for: all cases on a `sheet`, and in `fix` a data set without what can be mended.

    `repairs` are those that put values into a scan which nobody measured; they are for `fix`. `name` is what the data
    are called, where no config lies beside them. The last event is Finished: `problems`, and what `mend` did. Raises
    ConfigError and ResourceError.
    """
    if sheet is not None:
        require_sheet(sheet)
    if fix is not None:
        require_new_place(fix, loaded.config.data)
    problems = yield from checking(loaded)
    result: dict[str, Any] = {"problems": problems}
    if sheet is not None:
        yield from draw_contact_sheet(loaded, judged_cases(loaded.config.data), problems, sheet, name)
        result["sheet"] = str(sheet)
    if fix is not None:
        result["fixed"] = yield from mend(loaded, fix, repairs)
    yield Finished(fix or loaded.folder, result)


def _of_network(loaded: Loaded) -> list[Problem]:
    try:
        find_model(followed(loaded).config.model, loaded.folder)
    except SegtrainError as error:
        return list(error.problems)
    return []


def _of_watchers(loaded: Loaded) -> list[Problem]:
    try:
        require_watchers(loaded.config.training)
    except SegtrainError as error:
        return list(error.problems)
    return []


def _of_losses(loaded: Loaded) -> list[Problem]:
    config = loaded.config
    problems: list[Problem] = []
    compared = config.compare.losses if config.compare else ()
    for name, options in [(entry.name, entry.options) for entry in (config.loss, *compared)]:
        loss = LossSettings.model_validate({"name": name, **options})
        try:
            answer = answer_for(config.task, name, loaded.folder)
            make_loss(config.model_copy(update={"loss": loss}), answer, loaded.folder)
        except SegtrainError as error:
            problems.extend(problem for problem in error.problems if problem not in problems)
    return problems


def _of_metrics(loaded: Loaded) -> list[Problem]:
    try:
        chosen_metrics(loaded.config.evaluation, loaded.folder)
    except SegtrainError as error:
        return list(error.problems)
    return []


def _of_declared_labels(loaded: Loaded) -> list[Problem]:
    return declared_label_faults(loaded.config.data, loaded.config.task)


def _of_data(loaded: Loaded) -> Generator[Reading, None, list[Problem]]:
    """Faults of pairing, then those of reading, then the leaks among the cases that could be read."""
    config = loaded.config
    try:
        scans = judged_cases(config.data)
    except SegtrainError as error:
        return list(error.problems)
    if sentence := passed_over(config.data):
        yield Note(sentence)
    problems = [problem for _, problem in scans.faults]
    names, workers = config.data.channel_names, config.data.workers
    records, unread = yield from fingerprint_readable(scans.cases, names, config.task, workers=workers)
    problems += unread
    try:
        folds = draw_split(loaded, scans.cases, None).folds
        compared: tuple[Fold, ...] = ()
        if config.compare:
            compared = split_folds(scans.cases, config.compare.folds, config.compare.seeds[0]).folds
    except SegtrainError as error:  # with cases that have a fault, there may be enough
        return problems if scans.faults else [*problems, *error.problems]
    leaks = leaks_in((*folds, *compared), records, scans.cases)
    known = {problem.where for problem in leaks}
    problems += [*leaks, *(twin for twin in twins_in(records, scans.cases) if twin.where not in known)]
    return problems or _of_plan(loaded, records, folds[0])


def _of_plan(loaded: Loaded, records: Mapping[str, CaseFingerprint], fold: Fold) -> list[Problem]:
    """Whether a plan for these cases fits the network that the config names."""
    try:
        loaded = followed(loaded)
        plan = plan_from(loaded, records, fold, torch.device("cpu"))
        try_network(loaded.config, plan, answer_for(loaded.config.task, loaded.config.loss.name, loaded.folder))
    except SegtrainError as error:
        return list(error.problems)
    return []
