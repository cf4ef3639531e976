"""Scoring a network on whole cases: quickly between epochs, fully at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segtrain.core.scores import CaseScores, mean_of_defined
from segtrain.core.task import IGNORED_CLASS, Task
from segtrain.core.volume import LabelMap
from segtrain.data.store import StoredCase
from segtrain.inference.predict import Predictor
from segtrain.metrics.registry import definition
from segtrain.metrics.score_case import score_case
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.fitting.share import collected, dealt
from segtrain.training.ranks import Ranks


def score_stored(predictor: Predictor, cases: Iterable[StoredCase], evaluation: EvaluationSettings) -> list[CaseScores]:
    """Scores on the network's own grid: whole cases, without the way back to the scanner's grid."""
    classes = {name: index for index, name in enumerate(predictor.task.names)}
    ignored = None if predictor.task.ignore is None else IGNORED_CLASS
    on_classes = Task(labels=classes, ignore=ignored, regions=predictor.task.regions, partial=predictor.task.partial)
    return [
        score_case(
            case.case,
            case.case,
            LabelMap(predictor.classes(case.image), case.grid),
            LabelMap(case.classes, case.grid),
            on_classes,
            evaluation,
        )
        for case in cases
    ]


def quick(evaluation: EvaluationSettings) -> EvaluationSettings:
    """What is worth its time between epochs: the headline, and what is read from voxel counts."""
    headline, *others = evaluation.metrics
    cheap = [name for name in others if definition(name).cost == "counts"]
    return evaluation.model_copy(update={"metrics": (headline, *cheap)})


def score_dealt(
    predictor: Predictor, cases: Sequence[StoredCase], evaluation: EvaluationSettings, ranks: Ranks
) -> list[CaseScores]:
    """As `score_stored`, with the cases dealt to the ranks; every rank has all scores, in order of the cases."""
    return collected(ranks.gathered(score_stored(predictor, dealt(cases, ranks), evaluation)))


def mean_scores(scores: Iterable[CaseScores], task: Task, metrics: tuple[str, ...]) -> dict[str, float | None]:
    """Metric -> mean over labels of the mean over the cases where it is defined; of a signed metric, of its sizes.

    Epochs are chosen by these means, so that they are not those of an evaluation, which keep their signs.
    """
    found = list(scores)
    return {
        metric: mean_of_defined(_label_mean(found, label, metric) for label in task.foreground) for metric in metrics
    }


def label_scores(scores: Iterable[CaseScores], task: Task, metric: str) -> dict[str, float | None]:
    """Label -> mean over the cases where the metric is defined; of a signed metric, of its sizes."""
    found = list(scores)
    return {label: _label_mean(found, label, metric) for label in task.foreground}


def _label_mean(scores: list[CaseScores], label: str, metric: str) -> float | None:
    card = definition(metric)
    return mean_of_defined(card.sized(case.scores[label][metric].counted) for case in scores)
