"""What a config may say: the settings of every room, composed. Torch-free, so that a wrong key is answered at once.

A loss is `{name: tversky, fn_weight: 0.7}` or, without options, just `tversky`; its options are checked by the
registry of losses when it is built, everything else here.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from segtrain.core.file_names import is_kept_by_windows
from segtrain.core.settings import Component, Settings, as_component
from segtrain.core.task import Task
from segtrain.data.settings import AugmentSettings, DataSettings, PatchSettings
from segtrain.inference.settings import InferenceSettings
from segtrain.metrics.settings import EvaluationSettings
from segtrain.models.settings import ModelSettings
from segtrain.training.settings import Share, TrainingSettings

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A label names a folder of the sweep, on every system: it is not `is_kept_by_windows` either."""


class LossSettings(Component):
    """The loss of a fit."""

    name: str = "dice_ce"


class LossTraining(Settings):
    """What one loss of a comparison trains with instead of the config's `training`; null keeps that."""

    learning_rate: Annotated[float, Field(gt=0)] | None = None
    warmup_share: Share | None = None


class LossEntry(Component):
    """One loss of a comparison."""

    label: str
    """How tables and folders call it; by default its name, `post/dice` as post-dice, `mine.py:HardDice` as HardDice."""
    training: LossTraining = LossTraining()

    @model_validator(mode="before")
    @classmethod
    def _label_is_given(cls, value: Any) -> Any:
        value = as_component(value)
        if isinstance(value, dict) and value.get("label") is None and isinstance(value.get("name"), str):
            return {**value, "label": value["name"].rpartition(":")[2].replace("/", "-")}
        return value

    @model_validator(mode="after")
    def _label_is_a_folder_name(self) -> Self:
        if not LABEL.fullmatch(self.label):
            rule = "at most 64 letters, digits and . _ - after a letter or digit"
            raise ValueError(f"label {self.label!r} cannot name a folder: {rule}")
        if is_kept_by_windows(self.label):
            rule = "Windows keeps such names for its devices, and drops a dot at the end; set another label"
            raise ValueError(f"label {self.label!r} cannot name a folder everywhere: {rule}")
        return self


class HalvingSettings(Settings):
    """When a loss that is surely behind may stop."""

    rungs: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(default=(0.25, 0.5), min_length=2)
    """Shares of the epochs after which all losses that are still in are scored, at the next epoch that is validated. At
    all but the first those are dropped that are behind, and have not reached what the best had at the rung before."""
    keep_at_least: Annotated[int, Field(ge=1)] = 2
    """Losses that are trained to the end, whatever the tests say."""

    @model_validator(mode="after")
    def _rungs_go_up(self) -> Self:
        if any(late <= early for early, late in pairwise(self.rungs)):
            raise ValueError(f"rungs: each must be larger than the one before (given: {list(self.rungs)})")
        return self


class CompareSettings(Settings):
    """Which losses are compared, and on how many splits and seeds."""

    losses: tuple[LossEntry, ...]
    folds: Annotated[int, Field(ge=2)] = 5
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)
    baseline: str = "dice_ce"
    """Label of the loss that all others are compared with."""
    strategy: Literal["full", "halving"] = "full"
    """full: every loss is trained to the end. halving: successive halving by paired tests, which drops a loss early
    where it is significantly behind the best one, and only there."""
    halving: HalvingSettings = HalvingSettings()
    """Of the strategy halving."""
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Metric -> the mean difference, in its unit, up to which two losses are as good as equal: `{hd95: 1.0}`. A metric
    that is not named has 0.01 where it is a pure number. Where it has a unit it has none, and no loss is called
    equivalent by it: what is little in mm, only the structure tells."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        labels = [loss.label for loss in self.losses]
        if len(labels) < 2:
            raise ValueError(f"losses: a comparison needs at least 2 (given: {len(labels)})")
        folders = [label.casefold() for label in labels]
        twice = sorted({label for label in labels if folders.count(label.casefold()) > 1})
        if twice:
            raise ValueError(f"losses need different labels: {', '.join(twice)} occurs twice; set label")
        if self.baseline not in labels:
            raise ValueError(f"baseline {self.baseline!r} is not the label of a loss; there are {', '.join(labels)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one seed is listed twice")
        return self


class FitConfig(Settings):
    """A whole config file."""

    data: DataSettings
    task: Task
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
    patches: PatchSettings = PatchSettings()
    augmentation: AugmentSettings = AugmentSettings()
    inference: InferenceSettings = InferenceSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    compare: CompareSettings | None = None
    """What `compare-losses` does; `fit` does not read it."""

    @model_validator(mode="after")
    def _patients_are_told_once(self) -> Self:
        if self.evaluation.patient_from is not None:
            raise ValueError(
                "evaluation.patient_from is for `segtrain eval` alone: data.patient_from says whose the cases of a "
                "training are, for its folds and its scores"
            )
        return self

    @model_validator(mode="after")
    def _postprocessing_names_labels(self) -> Self:
        known = {*self.task.names[1:], *self.task.foreground}
        unknown = [name for name in self.inference.postprocess.names if name not in known]
        if unknown:
            raise ValueError(f"inference.postprocess: {unknown[0]!r} is no label; there are {', '.join(sorted(known))}")
        return self
