"""`segtrain check`: everything that is wrong with a config and its data, in one list. Trains nothing."""

from __future__ import annotations

import torch

from segtrain.config.load import Loaded
from segtrain.config.schema import LossSettings
from segtrain.core.errors import Problem, SegtrainError
from segtrain.data.cases import find_cases
from segtrain.data.splits import split_folds
from segtrain.recipes.assemble import answer_for, make_loss, metric_cards
from segtrain.recipes.dataset import fingerprint_all, result_of
from segtrain.recipes.decide import draw_split, plan_from


def check(loaded: Loaded) -> list[Problem]:
    """Every fault of losses, metrics, cases and scans; empty where there is none."""
    return [*_of_losses(loaded), *_of_metrics(loaded), *_of_data(loaded)]


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
        metric_cards(loaded.config.evaluation.metrics, loaded.folder)
    except SegtrainError as error:
        return list(error.problems)
    return []


def _of_data(loaded: Loaded) -> list[Problem]:
    config = loaded.config
    try:
        cases = find_cases(config.data)
        records = result_of(fingerprint_all(cases, config.data.channel_names, config.task))
        plan_from(loaded, records, draw_split(loaded, cases, None).folds[0], torch.device("cpu"))
        if config.compare:
            split_folds(cases, config.compare.folds, config.compare.seeds[0])
    except SegtrainError as error:
        return list(error.problems)
    return []
