"""Losses whose parts change their weight in the course of a training.

How far a training has come is told from outside, as a share from 0 to 1, by `set_progress`; nothing here counts steps.
So a run that is resumed has the weights it would have had.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from torch import Tensor, nn

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.nearest import did_you_mean
from segtrain.core.registry import options_of
from segtrain.core.settings import Component, Settings
from segtrain.losses.asked import Asked, all_of
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import Share, Weight
from segtrain.losses.registry import LOSSES, build_loss, register_loss
from segtrain.losses.voxels import Voxels


class Schedule(Settings):
    """A weight that goes from `start` to `end` while the progress goes from `from` to `until`.

    linear: in a straight line; cosine: slow at both ends; step: at once, at `from`; constant: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, populate_by_name=True)

    kind: Literal["constant", "linear", "cosine", "step"]
    start: Weight = 1.0
    end: Weight = 1.0
    begin: Annotated[Share, Field(alias="from")] = 0.0
    until: Share = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.begin > self.until:
            raise ValueError(f"from must not be above until (given: {self.begin:g} and {self.until:g})")
        return self

    def weight(self, progress: float) -> float:
        """The weight at a progress from 0 to 1."""
        if self.kind == "constant":
            return self.start
        if self.kind == "step" or self.begin == self.until:
            return self.end if progress >= self.begin else self.start
        share = min(max((progress - self.begin) / (self.until - self.begin), 0.0), 1.0)
        if self.kind == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.start + share * (self.end - self.start)


def _kind_of_weight(value: Any) -> str:
    return "<schedule>" if isinstance(value, dict | Schedule) else "<number>"


class Part(Component):
    """A loss by name, with its options beside it and its weight in the sum; or its bare name."""

    weight: Annotated[
        Annotated[Weight, Tag("<number>")] | Annotated[Schedule, Tag("<schedule>")], Discriminator(_kind_of_weight)
    ] = 1.0

    def weight_at(self, progress: float) -> float:
        """The weight at a progress from 0 to 1."""
        return self.weight.weight(progress) if isinstance(self.weight, Schedule) else self.weight


@register_loss("weighted_sum")
class WeightedSum(Loss):
    """Any losses, each times a weight that is a number or follows a schedule.

    Class weights reach every part that knows them unless its own options say otherwise. A part whose weight is 0 is not
    measured. The weight of a part is that of the sum, also where its loss has an option of this name. A perfect answer
    is its minimum only where it is that of every part.
    """

    family = "compound"
    formula = "sum_k weight_k loss_k, weight_k a number or a function of the share of the training that is done"
    paper = ""
    good_for = "mixtures of your own, and schedules such as dice first and boundary later"
    bad_at = "finding the weights: parts differ in scale by far, and nothing here evens them"

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        of: Annotated[
            tuple[Part, ...],
            Field(min_length=1),
            "The parts: name, options and weight of each. A weight is a number or a schedule {kind, start, end, from, "
            "until}: kind is constant, linear, cosine or step, from and until are shares of the training.",
        ] = (Part(name="dice"), Part(name="ce")),
        **shared: Any,
    ) -> None:
        super().__init__(mode, **shared)
        self.progress = 0.0
        self.parts = of
        terms = _built(of, mode, shared.get("class_weights"))
        self.terms = nn.ModuleList(terms)
        self.optimum = 0.0 if all(term.optimum == 0 for term in terms) else None

    def asked(self) -> Asked:
        """What the parts ask for that count now."""
        return all_of(term.asked() for _, term in self._counted())

    def measure(self, voxels: Voxels) -> Tensor:
        """Sum of weight x part."""
        return torch.stack([weight * _measured(term, voxels) for weight, term in self._counted()]).sum()

    def _counted(self) -> list[tuple[float, Loss]]:
        """Weights and parts; where all weights are 0 one of them, so that the value stays in the graph."""
        every = [(part.weight_at(self.progress), term) for part, term in zip(self.parts, self.terms, strict=True)]
        terms = [(weight, term) for weight, term in every if isinstance(term, Loss)]
        return [pair for pair in terms if pair[0] > 0] or terms[:1]


def set_progress(loss: nn.Module, share: float) -> None:
    """Tell a loss, and all that it is made of, which share of the training is done: 0 to 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"progress is a share from 0 to 1, not {share:g}")
    for module in loss.modules():
        if isinstance(module, WeightedSum):
            module.progress = share


def _built(parts: tuple[Part, ...], mode: ModeChoice, class_weights: Any) -> list[Loss]:
    """The losses of all parts. ConfigError lists the faults of all, each with the place of its part."""
    built: list[Loss] = []
    faults: list[Problem] = []
    for place, part in enumerate(parts):
        try:
            built.append(_one(part, mode, class_weights))
        except ConfigError as error:
            faults.extend(replace(problem, where=f"loss weighted_sum, of.{place}") for problem in error.problems)
    raise_all(ConfigError, faults)
    return built


def _one(part: Part, mode: ModeChoice, class_weights: Any) -> Loss:
    known = list(options_of(LOSSES.find(part.name)))
    raise_all(ConfigError, _wrong_keys(part, known))
    options = dict(part.options)
    if class_weights is not None and "class_weights" in known:
        options = {"class_weights": class_weights, **options}
    loss = build_loss(part.name, mode, **options)
    if not isinstance(loss, Loss):
        what = f"{part.name}: a {type(loss).__name__} cannot be a part"
        hint = "a class of your own can be one if it inherits segtrain.losses.Loss and has a method measure(voxels)"
        raise ConfigError(Problem(what, hint=hint))
    return loss


def _wrong_keys(part: Part, known: list[str]) -> Iterator[Problem]:
    for key in part.options:
        if key == "ignore_label":
            yield Problem(f"{part.name}.ignore_label belongs to the whole sum, which reads the target")
        elif key not in known:
            hint = did_you_mean(key, [*known, "weight"], "key")
            yield Problem(f"{part.name}.{key}: there is no such key", hint=hint)


def _measured(term: Loss, voxels: Voxels) -> Tensor:
    if voxels.mode not in term.modes:
        name = type(term).__name__
        raise ValueError(
            f"{name}, a part of the sum, works on {', '.join(term.modes)} targets; these are {voxels.mode}"
        )
    return term.measure(voxels)
