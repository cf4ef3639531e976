"""`KEY=VALUE` on the command line of `predict` and `eval`: what a trained network leaves open."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from segtrain.config.overrides import Override, apply, parse
from segtrain.config.schema import FitConfig
from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.nearest import did_you_mean
from segtrain.core.settings import Settings
from segtrain.core.wrong_values import problems_of
from segtrain.inference.settings import InferenceSettings
from segtrain.metrics.settings import EvaluationSettings

WHERE = "command line"


class Changeable(Settings):
    """What may be changed after training."""

    inference: InferenceSettings
    evaluation: EvaluationSettings = EvaluationSettings()


def inference_with(settings: InferenceSettings, overrides: Sequence[str]) -> InferenceSettings:
    """`settings` with the `inference.*` among the overrides. ConfigError with all that is wrong with these."""
    return _changed(Changeable(inference=settings), overrides).inference


def evaluation_with(settings: EvaluationSettings, overrides: Sequence[str]) -> EvaluationSettings:
    """`settings` with the `evaluation.*` among the overrides. ConfigError with all that is wrong with these."""
    return _changed(Changeable(inference=InferenceSettings(), evaluation=settings), overrides).evaluation


def require_changeable(overrides: Sequence[str], groups: Sequence[str]) -> None:
    """ConfigError with every override of another group of the config than these."""
    raise_all(ConfigError, (_fixed(found, groups) for found in map(parse, overrides) if found.place[0] not in groups))


def _changed(before: Changeable, overrides: Sequence[str]) -> Changeable:
    require_changeable(overrides, tuple(Changeable.model_fields))
    changes = [parse(text) for text in overrides]
    tree = before.model_dump()
    places = {change.place for change in changes}
    if ("evaluation", "profile") in places and ("evaluation", "metrics") not in places:
        del tree["evaluation"]["metrics"]  # a profile names metrics only where nobody else does
    values, blocked = apply(tree, changes)
    raise_all(ConfigError, blocked)
    try:
        return Changeable.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*problems_of(error, Changeable, WHERE)) from error


def _fixed(override: Override, groups: Sequence[str]) -> Problem:
    group, key = str(override.place[0]), ".".join(map(str, override.place))
    if group in FitConfig.model_fields:
        hint = f"what can be changed begins with {' or '.join(f'{name}.' for name in groups)}"
        return Problem(f"{key} cannot be changed here", WHERE, "it was settled before", hint)
    return Problem(f"{key}: there is no such key", WHERE, hint=did_you_mean(group, tuple(groups), "group"))
