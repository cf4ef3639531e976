"""`segtrain check`: everything that is wrong with a config and its data, in one list. Trains nothing."""

from __future__ import annotations

from segtrain.config.load import Loaded
from segtrain.core.errors import Problem, SegtrainError
from segtrain.core.registry import checked_options
from segtrain.data.cases import find_cases
from segtrain.losses.registry import check_options
from segtrain.metrics.registry import METRICS
from segtrain.recipes.assemble import answer_for, make_loss
from segtrain.recipes.dataset import fingerprint_all


def check(loaded: Loaded) -> list[Problem]:
    """Every fault of losses, metrics, cases and scans; empty where there is none."""
    return [*_of_losses(loaded), *_of_metrics(loaded), *_of_data(loaded)]


def _of_losses(loaded: Loaded) -> list[Problem]:
    config = loaded.config
    problems: list[Problem] = []
    try:
        answer = answer_for(config.task, config.loss.name, loaded.folder)
        make_loss(config, answer, loaded.folder)
    except SegtrainError as error:
        problems.extend(error.problems)
    for entry in config.compare.losses if config.compare else ():
        try:
            answer_for(config.task, entry.name, loaded.folder)
            check_options(entry.name, entry.options, loaded.folder)
        except SegtrainError as error:
            problems.extend(error.problems)
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
        for _ in fingerprint_all(cases, config.data.channel_names, config.task):
            pass
    except SegtrainError as error:
        return list(error.problems)
    return []
