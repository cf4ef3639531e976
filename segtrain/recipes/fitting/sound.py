"""A config and its cases, tried before a run folder is touched: everything that reads no voxel and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torch import nn

from segtrain.config.load import Loaded
from segtrain.core.case import Case
from segtrain.core.errors import ConfigError, DataError, Problem, raise_all
from segtrain.core.events import Note
from segtrain.core.plan import Plan
from segtrain.core.task import Task
from segtrain.data.cases import find_cases
from segtrain.data.layouts.by_name import declared_label_faults, passed_over
from segtrain.data.settings import DataSettings
from segtrain.data.splits import Splits
from segtrain.metrics.chosen import chosen_metrics, require_tolerances
from segtrain.metrics.score_case import scored_structures
from segtrain.models.registry import find_model
from segtrain.recipes.assemble import Answer, answer_for, cautions_about, make_loss
from segtrain.recipes.fitting.decide import draw_split
from segtrain.recipes.fitting.watch import require_watchers


@dataclass(frozen=True, eq=False)
class Shared:
    """What a sweep decides once for all of its fits of one fold."""

    plan: Plan
    splits: Splits
    """All folds."""
    cases: tuple[Case, ...]
    prepared: Mapping[str, Path]
    """Case id -> its file in the store."""
    steps_per_epoch: int | None = None
    """As the first run of the sweep has them; None leaves them to the config."""


@dataclass(frozen=True, eq=False)
class Sound:
    """A config that was tried, and its cases: everything that can be found out before a run folder is touched."""

    loaded: Loaded
    answer: Answer
    loss: nn.Module
    cases: tuple[Case, ...]
    splits: Splits
    """The one division of this fit, as it would be drawn now."""


def try_config(loaded: Loaded, fold: int | None, shared: Shared | None = None) -> Sound:
    """Build the loss and the metrics, find the cases and divide them; reads no voxel and writes nothing.

    Raises ConfigError and DataError for what the user can mend.
    """
    config = loaded.config
    require_watchers(config.training)
    answer, loss = try_loss(loaded)
    raise_all(DataError, declared_label_faults(config.data, config.task))
    cases = shared.cases if shared else tuple(find_cases(config.data))
    raise_all(ConfigError, idle_patterns(config.task, [case.id for case in cases]))
    splits = draw_split(loaded, cases, fold, shared.splits if shared else None)
    return Sound(loaded, answer, loss, cases, splits)


def idle_patterns(task: Task, cases: Sequence[str]) -> Iterator[Problem]:
    """Patterns of task.partial that match no case: what they should hide would be trained as absent."""
    for pattern in task.partial:
        if not any(fnmatchcase(case, pattern) for case in cases):
            hint = f"write it as the case ids are: {', '.join(cases[:3])} ..."
            yield Problem(f"the pattern {pattern!r} matches no case", "task.partial", hint=hint)


def try_loss(loaded: Loaded) -> tuple[Answer, nn.Module]:
    """How the network answers, and the loss; the metrics and the network's name are tried too. Raises ConfigError."""
    config = loaded.config
    chosen_metrics(config.evaluation, loaded.folder)
    require_tolerances(config.evaluation, list(scored_structures(config.task, config.evaluation)))
    find_model(config.model, loaded.folder)
    answer = answer_for(config.task, config.loss.name, loaded.folder)
    return answer, make_loss(config, answer, loaded.folder)


def cautions_in(loaded: Loaded) -> Iterator[str]:
    """What a user should know of the loss before a fit."""
    name = loaded.config.loss.name
    return cautions_about({name: name}, loaded.folder)


def told_before(data: DataSettings, code: Sequence[str], cautions: Iterable[str], *, begins: bool) -> Iterator[Note]:
    """What one should know before a fit or a sweep; what lies beside the cases, only where it begins."""
    if code:
        yield Note(f"code that the config names is run: {', '.join(code)}")
    if begins and (sentence := passed_over(data)):
        yield Note(sentence)
    yield from map(Note, cautions)
