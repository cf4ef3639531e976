"""Config -> network and loss: the only place that asks their registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segtrain.config.schema import FitConfig
from segtrain.core.batch import MapMaker, Maps
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.plan import Plan
from segtrain.core.task import Activation, Task
from segtrain.data.plan.planning import CPU, DeviceClass, PlanWishes, gpu_class
from segtrain.data.plan.presets import PRESETS
from segtrain.losses.base import Loss
from segtrain.losses.combine import DeepSupervision, resized
from segtrain.losses.hidden import with_known_alone
from segtrain.losses.needed_maps import needed_maps, needs_maps
from segtrain.losses.registry import build_loss, caution_about, supported_modes
from segtrain.losses.selftest import self_test
from segtrain.losses.targets import as_target
from segtrain.losses.voxels import Extras, Mode
from segtrain.models.blocks import channels_last
from segtrain.models.network import Network
from segtrain.models.registry import build_model
from segtrain.models.settings import ModelSettings
from segtrain.recipes.loss_options import options_for

HIDDEN = "hidden"
"""Among the maps of a stage: what its cases do not tell."""


@dataclass(frozen=True)
class Answer:
    """How the network answers, which follows from what the loss can read."""

    mode: Mode
    activation: Activation
    outputs: int
    members: tuple[tuple[int, ...], ...] = ()
    """Sigmoids: the classes that each output answers for."""


def answer_for(task: Task, loss_name: str, folder: Path) -> Answer:
    """Exclusive classes under softmax where the loss knows them and no regions are set; else a sigmoid a structure."""
    modes = supported_modes(loss_name, folder)
    if "multiclass" in modes and task.regions is None:
        return Answer("multiclass", "softmax", len(task.output_names("softmax")))
    members = tuple(task.structures.values())
    mode: Mode = "binary" if len(members) == 1 else "multilabel"
    if mode not in modes:
        kind = "foreground labels" if task.regions is None else "regions, which may overlap"
        what = f"loss {loss_name} cannot train {len(members)} {kind}: it knows {', '.join(modes)}"
        raise ConfigError(Problem(what, "loss.name", hint="`segtrain losses` lists which loss knows which mode"))
    return Answer(mode, "sigmoid", len(members), members)


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
    task: Task
    stages: tuple[Stage, ...]
    """Finest first."""

    def __call__(self, logits: tuple[Tensor, ...], classes: Tensor, maps: Maps = ()) -> Tensor:
        """A scalar with gradient; `maps` as `make_maps` has them, or else the loss makes its own."""
        own = maps or ({},) * len(self.stages)
        hidden = own[0].get(HIDDEN)
        target, mask = self._target(classes, hidden)
        if hidden is not None:
            logits = tuple(with_known_alone(level, hidden, self.answer.activation) for level in logits)
        extras: tuple[Extras, ...] = ()
        if isinstance(self.loss.loss, Loss):
            given = [{name: found for name, found in stage.items() if name != HIDDEN} for stage in own]
            extras = tuple(Extras(None, s.spacing_mm, found) for s, found in zip(self.stages, given, strict=True))
        value: Tensor = self.loss(logits, target, mask, extras)
        return value

    @property
    def map_maker(self) -> MapMaker | None:
        """What the loader makes ahead of a step; None where the loss needs nothing."""
        inner = self.loss.loss
        needs = bool(self.task.partial) or (isinstance(inner, Loss) and needs_maps(inner))
        return self.make_maps if needs else None

    def make_maps(self, classes: Tensor, cases: Sequence[str]) -> Maps:
        """Of each stage that counts, what the loss would else make itself, and what the cases do not tell."""
        hidden = self._hidden(cases)
        told: Mapping[str, Tensor] = {} if hidden is None else {HIDDEN: hidden}
        inner = self.loss.loss
        if not isinstance(inner, Loss) or not needs_maps(inner):
            return (told,) * len(self.stages) if told else ()
        target, mask = self._target(classes, hidden)
        found: list[Mapping[str, Tensor]] = []
        for stage, weight in zip(self.stages, self.loss.weights, strict=True):
            if weight == 0:
                found.append(told)
                continue
            truth = resized(target, stage.size), None if mask is None else resized(mask, stage.size)
            made = needed_maps(inner, *truth, outputs=self.answer.outputs, spacing_mm=stage.spacing_mm)
            found.append({**made, **told})
        return tuple(found)

    def _hidden(self, cases: Sequence[str]) -> Tensor | None:
        """(B, outputs): true where a case does not tell of an output; None where all cases have all labels."""
        if not self.task.partial:
            return None
        names = self.task.output_names(self.answer.activation)
        hidden = [set(self.task.hidden_in(case)) for case in cases]
        return torch.tensor([[name in own for name in names] for own in hidden])

    def _target(self, classes: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        answer = self.answer
        target, mask = as_target(classes, answer.mode, answer.members, has_ignored=self.task.ignore is not None)
        if hidden is None or answer.activation == "softmax":
            return target, mask
        # A region of which a part was drawn would be true there.
        return target & ~hidden.view(*hidden.shape, *[1] * (target.ndim - 2)), mask


def cautions_about(losses: Mapping[str, str], folder: Path) -> Iterator[str]:
    """What a user should know before a training with these losses, label -> name; a sentence for each that has any."""
    for label, name in losses.items():
        if caution := caution_about(name, folder):
            yield f"loss {label}: {caution}"


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


def training_loss(loss: nn.Module, model: Network, plan: Plan, task: Task, answer: Answer) -> TrainingLoss:
    """The loss, moved to the device of the network, on every stage that this answers from."""
    stages = stages_of(plan)[: model.levels]
    beside = loss.to(next(model.parameters()).device)
    return TrainingLoss(DeepSupervision(beside, model.levels), answer, task, stages)


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


def device_class(device: torch.device, memory_bytes: int | None) -> DeviceClass:
    """How large a network this device trains in reasonable time, and with its memory."""
    return CPU if device.type == "cpu" else gpu_class(memory_bytes)
