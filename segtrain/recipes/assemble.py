"""Config -> network, loss, metrics: the only place that asks the registries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segtrain.config.schema import FitConfig
from segtrain.core.errors import ConfigError, Problem
from segtrain.core.plan import Plan
from segtrain.core.task import Activation, Task
from segtrain.data.planning import CPU, GPU, DeviceClass, PlanWishes
from segtrain.losses.base import Loss
from segtrain.losses.combine import DeepSupervision
from segtrain.losses.registry import build_loss, supported_modes
from segtrain.losses.selftest import self_test
from segtrain.losses.targets import as_target
from segtrain.losses.voxels import Extras, Mode
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet


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
        return Answer("multiclass", "softmax", task.outputs("softmax"))
    outputs = task.outputs("sigmoid")
    mode: Mode = "binary" if outputs == 1 else "multilabel"
    if mode not in modes:
        what = f"loss {loss_name} cannot train {outputs} foreground labels: it knows {', '.join(modes)}"
        raise ConfigError(Problem(what, "loss.name", hint="`segtrain losses` lists which loss knows which mode"))
    return Answer(mode, "sigmoid", outputs)


@dataclass(frozen=True, eq=False)
class TrainingLoss:
    """(logits finest first, classes) -> scalar, whatever the loss: the target is brought into its form."""

    loss: DeepSupervision
    answer: Answer
    has_ignored: bool
    spacing_mm: tuple[float, ...]
    """Of the patches."""

    def __call__(self, logits: tuple[Tensor, ...], classes: Tensor) -> Tensor:
        """A scalar with gradient."""
        target, mask = as_target(classes, self.answer.mode, self.answer.outputs, has_ignored=self.has_ignored)
        extras = Extras(spacing_mm=self.spacing_mm) if isinstance(self.loss.loss, Loss) else None
        value: Tensor = self.loss(logits, target, mask, extras)
        return value


def make_loss(config: FitConfig, answer: Answer, folder: Path) -> nn.Module:
    """Build and try the loss. ConfigError lists wrong options, or what its self-test found."""
    name = config.loss.name
    loss = build_loss(name, answer.mode, folder=folder, **config.loss.options)
    faults = self_test(loss, answer.mode, answer.outputs, config.model.dims)
    if faults:
        hint = "a loss takes (logits, target) and returns one number with a finite gradient"
        raise ConfigError(*(Problem(f"loss {name}: {fault}", "loss", hint=hint) for fault in faults))
    return loss


def training_loss(loss: nn.Module, model: UNet, plan: Plan, task: Task, answer: Answer) -> TrainingLoss:
    """The loss on every stage that the network answers from."""
    spacing_mm = tuple(size for size in plan.spacing_mm if size is not None)
    return TrainingLoss(DeepSupervision(loss, model.levels), answer, task.ignore is not None, spacing_mm)


def make_model(plan: Plan, settings: ModelSettings, answer: Answer, seed: int) -> UNet:
    """The network in the memory layout that is fastest."""
    layout = torch.channels_last_3d if plan.dims == 3 else torch.channels_last
    model = UNet(plan, settings, outputs=answer.outputs, seed=seed)
    moved: UNet = model.to(memory_format=layout)  # type: ignore[call-overload]
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
    )


def device_class(device: torch.device) -> DeviceClass:
    """How large a network this device trains in reasonable time."""
    return CPU if device.type == "cpu" else GPU
