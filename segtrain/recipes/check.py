"""`segtrain check`: everything that is wrong with a config and its data, in one list. Trains nothing."""

from __future__ import annotations

import torch

from segtrain.config.load import Loaded
from segtrain.config.schema import LossSettings
from segtrain.core.errors import Problem, SegtrainError
from segtrain.core.registry import checked_options
from segtrain.data.cases import find_cases
from segtrain.data.planning import make_plan
from segtrain.data.splits import split_folds, split_share
from segtrain.metrics.registry import METRICS
from segtrain.recipes.assemble import answer_for, device_class, make_loss, wishes_of
from segtrain.recipes.dataset import fingerprint_all, result_of


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
    problems: list[Problem] = []
    for name in loaded.config.evaluation.metrics:
        try:
            checked_options(METRICS.find(name, loaded.folder), {}, where=f"metric {name}")
        except SegtrainError as error:
            problems.extend(error.problems)
    return problems


def _of_data(loaded: Loaded) -> list[Problem]:
    config = loaded.config
    try:
        cases = find_cases(config.data)
        data = result_of(fingerprint_all(cases, config.data.channel_names, config.task))
        make_plan(data, config.data, wishes_of(config), device_class(torch.device("cpu")))
        split_share(cases, config.training.validation_share, config.training.seed)
        if config.compare:
            split_folds(cases, config.compare.folds, config.compare.seeds[0])
    except SegtrainError as error:
        return list(error.problems)
    return []
