"""Settings -> the metrics that they name, ready to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segtrain.core.errors import ConfigError, Problem, SegtrainError, raise_all
from segtrain.core.nearest import did_you_mean
from segtrain.core.wrong_values import problems_of
from segtrain.metrics.registry import METRICS, Metric, MetricCard
from segtrain.metrics.settings import EvaluationSettings

NSD = ("nsd", "surface_dice")
NO_TOLERANCE = Problem(
    "nsd needs a tolerance",
    "evaluation.nsd_tolerance_mm",
    "it decides the result, so that it has no default",
    "set it, or --nsd-tolerance-mm, to what two readers differ by (KiTS23 about 1.1 mm, TotalSegmentator 3 mm)",
)


def settings_of(values: Mapping[str, Any]) -> EvaluationSettings:
    """Settings from plain values. Raises ConfigError."""
    try:
        return EvaluationSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*problems_of(error, EvaluationSettings, "evaluation")) from error


def require_tolerances(settings: EvaluationSettings, structures: Sequence[str]) -> None:
    """ConfigError where nsd's tolerances are those of other structures than the ones that are scored."""
    given = settings.nsd_tolerance_mm
    if not isinstance(given, Mapping):
        return
    where, wanted = "evaluation.nsd_tolerance_mm", any(name in NSD for name in settings.metrics)
    strange = [name for name in given if name not in structures]
    unknown = [(name, did_you_mean(name, structures, "structure")) for name in strange]
    raise_all(ConfigError, (Problem(f"there is no structure {name!r}", where, hint=near) for name, near in unknown))
    hint = "give each structure its own, or one number for all"
    missing = [
        Problem(f"nsd has no tolerance for {name}", where, hint=hint) for name in structures if name not in given
    ]
    raise_all(ConfigError, missing if wanted else [])


def chosen_metrics(settings: EvaluationSettings, folder: Path | None = None) -> Mapping[str, Metric]:
    """Build every metric of the settings, in their order; `folder` is what paths of somebody's own are relative to.

    Raises one ConfigError that names all metrics that cannot be used.
    """
    found: dict[str, Metric] = {}
    problems: list[Problem] = []
    for name in settings.metrics:
        try:
            found[name] = _built(name, settings, folder)
        except ConfigError as error:
            problems.extend(error.problems)
    raise_all(ConfigError, problems)
    return found


def _built(name: str, settings: EvaluationSettings, folder: Path | None) -> Metric:
    registered = METRICS.aliases().get(name, name)
    if registered == "nsd" and settings.nsd_tolerance_mm is None:
        raise ConfigError(NO_TOLERANCE)
    try:
        metric: Metric = METRICS.build(name, options=settings.options_of(registered), folder=folder)
    except SegtrainError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(Problem(f"metric {name!r} could not be built", why=why)) from error
    if not isinstance(getattr(metric, "card", None), MetricCard) or not callable(getattr(metric, "measure", None)):
        hint = "a metric is a class with a `card` (segtrain.metrics.registry.MetricCard) and a `measure(pair)`"
        raise ConfigError(Problem(f"{name!r} is no metric", hint=hint))
    return metric
