"""`segtrain check`: everything that is wrong with a config and its data, in one list. Trains nothing."""

from __future__ import annotations

import torch

from segtrain.config.load import Loaded
from segtrain.config.schema import LossSettings
from segtrain.core.errors import Problem, SegtrainError
from segtrain.data.cases import find_cases
from segtrain.data.splits import split_folds
from segtrain.metrics.chosen import chosen_metrics
from segtrain.models.registry import find_model
from segtrain.recipes.assemble import answer_for, make_loss
from segtrain.recipes.dataset import fingerprint_all, result_of
from segtrain.recipes.decide import draw_split, plan_from
from segtrain.recipes.init_from import followed, try_network
from segtrain.recipes.watch import require_watchers


def check(loaded: Loaded) -> list[Problem]:
    """Every fault of watchers, network, losses, metrics, cases and scans; empty where there is none."""
    parts = (_of_watchers, _of_network, _of_losses, _of_metrics, _of_data)
    return list(dict.fromkeys(problem for part in parts for problem in part(loaded)))


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


def _of_data(loaded: Loaded) -> list[Problem]:
    config = loaded.config
    try:
        cases = find_cases(config.data)
        records = result_of(fingerprint_all(cases, config.data.channel_names, config.task, workers=config.data.workers))
        fold = draw_split(loaded, cases, None).folds[0]
        if config.compare:
            split_folds(cases, config.compare.folds, config.compare.seeds[0])
        loaded = followed(loaded)
        plan = plan_from(loaded, records, fold, torch.device("cpu"))
        try_network(loaded.config, plan, answer_for(config.task, config.loss.name, loaded.folder))
    except SegtrainError as error:
        return list(error.problems)
    return []
