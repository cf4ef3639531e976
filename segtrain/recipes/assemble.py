"""Config -> network, loss, metrics: the only place that asks the registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.config.schema import FitConfig
from segtrain.core.batch import Maps
from segtrain.core.errors import ConfigError, Problem, SegtrainError, raise_all
from segtrain.core.plan import Plan
from segtrain.core.task import Activation, Task
from segtrain.data.planning import CPU, GPU, DeviceClass, PlanWishes
from segtrain.data.presets import PRESETS
from segtrain.losses.base import Loss
from segtrain.losses.combine import DeepSupervision, resized
from segtrain.losses.needed_maps import needed_maps, needs_maps
from segtrain.losses.registry import build_loss, supported_modes
from segtrain.losses.selftest import self_test
from segtrain.losses.targets import as_target
from segtrain.losses.voxels import Extras, Mode
from segtrain.metrics.registry import METRICS, MetricCard
from segtrain.models.blocks import channels_last
from segtrain.models.network import Network
from segtrain.models.registry import build_model
from segtrain.models.settings import ModelSettings
from segtrain.recipes.loss_options import options_for


@dataclass(frozen=True)
class Answer:
    """How the network answers, which follows from what the loss can read."""

    mode: Mode
    activation: Activation
    outputs: int


def answer_for(task: Task, loss_name: str, folder: Path) -> Answer:
    """Exclusive classes under softmax where the loss knows them, one sigmoid a foreground class otherwise."""
    modes = supported_modes(loss_name, folder)
    if "multiclass" in modes:
        return Answer("multiclass", "softmax", len(task.output_names("softmax")))
    outputs = len(task.output_names("sigmoid"))
    mode: Mode = "binary" if outputs == 1 else "multilabel"
    if mode not in modes:
        what = f"loss {loss_name} cannot train {outputs} foreground labels: it knows {', '.join(modes)}"
        raise ConfigError(Problem(what, "loss.name", hint="`segtrain losses` lists which loss knows which mode"))
    return Answer(mode, "sigmoid", outputs)


@dataclass(frozen=True)
class Stage:
    """A resolution that the network answers in."""

    size: tuple[int, ...]
    """Voxels of a patch."""
    spacing_mm: tuple[float, ...]
    """Sides of a voxel; 1 along an axis that every scan has a spacing of its own on."""


@dataclass(frozen=True, eq=False)
class TrainingLoss:
    """(logits finest first, classes) -> scalar, whatever the loss: the target is brought into its form."""

    loss: DeepSupervision
    answer: Answer
    has_ignored: bool
    stages: tuple[Stage, ...]
    """Finest first."""

    def __call__(self, logits: tuple[Tensor, ...], classes: Tensor, maps: Maps = ()) -> Tensor:
        """A scalar with gradient; `maps` as `make_maps` has them, or else the loss makes its own."""
        target, mask = self._target(classes)
        extras: tuple[Extras, ...] = ()
        if isinstance(self.loss.loss, Loss):
            own = maps or ({},) * len(self.stages)
            extras = tuple(Extras(None, s.spacing_mm, found) for s, found in zip(self.stages, own, strict=True))
        value: Tensor = self.loss(logits, target, mask, extras)
        return value

    def make_maps(self, classes: Tensor) -> Maps:
        """Of each stage, what the loss would else make itself; none where a stage does not count."""
        inner = self.loss.loss
        if not isinstance(inner, Loss) or not needs_maps(inner):
            return ()
        target, mask = self._target(classes)
        found: list[Mapping[str, Tensor]] = []
        for stage, weight in zip(self.stages, self.loss.weights, strict=True):
            if weight == 0:
                found.append({})
                continue
            truth = resized(target, stage.size), None if mask is None else resized(mask, stage.size)
            found.append(needed_maps(inner, *truth, outputs=self.answer.outputs, spacing_mm=stage.spacing_mm))
        return tuple(found)

    def _target(self, classes: Tensor) -> tuple[Tensor, Tensor | None]:
        return as_target(classes, self.answer.mode, self.answer.outputs, has_ignored=self.has_ignored)


def make_loss(config: FitConfig, answer: Answer, folder: Path) -> nn.Module:
    """Build and try the loss. ConfigError lists wrong options, or what its self-test found."""
    name = config.loss.name
    options = options_for(config.loss.options, config.task.output_names(answer.activation))
    loss = build_loss(name, answer.mode, folder=folder, **options)
    masked = config.task.ignore is not None
    faults = self_test(loss, answer.mode, answer.outputs, config.model.dims, masked=masked)
    if faults:
        arguments = "logits, target, mask: true where a voxel counts" if masked else "logits, target"
        hint = f"a loss takes ({arguments}) and returns one number with a finite gradient"
        raise ConfigError(*(Problem(f"loss {name}: {fault}", "loss", hint=hint) for fault in faults))
    return loss


def metric_cards(names: Sequence[str], folder: Path) -> dict[str, MetricCard]:
    """Build every metric, and give its card. One ConfigError names all that cannot be used."""
    cards: dict[str, MetricCard] = {}
    problems: list[Problem] = []
    for name in names:
        try:
            cards[name] = _built_metric(name, folder)
        except ConfigError as error:
            problems.extend(error.problems)
    raise_all(ConfigError, problems)
    return cards


def _built_metric(name: str, folder: Path) -> MetricCard:
    try:
        metric = METRICS.build(name, options={}, folder=folder)
    except SegtrainError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(Problem(f"metric {name!r} could not be built", why=why)) from error
    card = getattr(METRICS.find(name, folder), "card", None)
    if not isinstance(card, MetricCard) or not callable(getattr(metric, "measure", None)):
        hint = "a metric is a class with a `card` (segtrain.metrics.registry.MetricCard) and a `measure(pair)`"
        raise ConfigError(Problem(f"{name!r} is no metric", hint=hint))
    return card


def training_loss(loss: nn.Module, model: Network, plan: Plan, task: Task, answer: Answer) -> TrainingLoss:
    """The loss, moved to the device of the network, on every stage that this answers from."""
    stages = stages_of(plan)[: model.levels]
    beside = loss.to(next(model.parameters()).device)
    return TrainingLoss(DeepSupervision(beside, model.levels), answer, task.ignore is not None, stages)


def stages_of(plan: Plan) -> tuple[Stage, ...]:
    """Those of the network's decoder, and its bottleneck; a slice has two axes."""
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    factors = np.cumprod([(1, 1, 1), *plan.strides], axis=0)[:, axes].tolist()
    patch = [plan.patch_size[axis] for axis in axes]
    sides = [plan.spacing_mm[axis] or 1.0 for axis in axes]
    return tuple(
        Stage(
            tuple(size // factor for size, factor in zip(patch, stage, strict=True)),
            tuple(side * factor for side, factor in zip(sides, stage, strict=True)),
        )
        for stage in factors
    )


def make_model(plan: Plan, settings: ModelSettings, answer: Answer, seed: int) -> Network:
    """The network in the memory layout that is fastest. ConfigError where there is none, or one's own is none."""
    model = build_model(plan, settings, outputs=answer.outputs, seed=seed)
    moved: Network = model.to(memory_format=channels_last(plan.dims))  # type: ignore[call-overload]
    return moved


def wishes_of(config: FitConfig) -> PlanWishes:
    """What the config fixes of the plan."""
    model = config.model
    return PlanWishes(
        dims=model.dims,
        widths=model.widths,
        convolutions=model.convolutions,
        spacing_mm=model.spacing_mm,
        patch_size=model.patch_size,
        batch_size=config.training.batch_size,
        preset=None if model.preset is None else PRESETS[model.preset],
    )


def device_class(device: torch.device) -> DeviceClass:
    """How large a network this device trains in reasonable time."""
    return CPU if device.type == "cpu" else GPU
