"""Losses made of losses: a weighted sum of parts, and one loss on several resolutions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import create_model
from torch import Tensor, nn

from segtrain.core.registry import options_of
from segtrain.core.settings import Settings
from segtrain.losses.asked import Asked, all_of
from segtrain.losses.base import Loss, ModeChoice
from segtrain.losses.options import Weight
from segtrain.losses.region import OverlapLoss
from segtrain.losses.voxels import Extras, Mode, Voxels


class Compound(Loss):
    """Weighted sum of registered losses on the same voxels.

    A subclass only names its `parts`. Its options follow: `<part>_weight`, `<part>` (that part's own options, nested)
    and the options that losses share, which reach every part that knows them unless its nested options say otherwise.
    """

    family = "compound"
    parts: ClassVar[Mapping[str, type[Loss]]] = {}
    part_weights: ClassVar[Mapping[str, float]] = {}
    """Default weights of the parts; 1 for those not named."""

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        cls.modes = _common_modes(cls.parts)
        cls.needs = tuple(dict.fromkeys(name for part in cls.parts.values() for name in part.needs))
        cls.__signature__ = _signature(cls.parts, cls.part_weights)  # type: ignore[attr-defined]

    def __init__(self, mode: ModeChoice = "auto", /, **options: Any) -> None:
        given = inspect.signature(type(self)).bind(mode, **options)
        given.apply_defaults()
        shared = {k: v for k, v in options.items() if k in _shared_options(self.parts)}
        super().__init__(mode, **{k: v for k, v in shared.items() if k in options_of(Loss)})
        self.weights = {name: float(given.arguments[f"{name}_weight"]) for name in self.parts}
        self.terms = nn.ModuleDict(
            {name: _part(part, mode, shared, options.get(name)) for name, part in self.parts.items()}
        )
        if any(self.term(name).optimum is None for name in self.parts):
            self.optimum = None

    def asked(self) -> Asked:
        """What the parts ask for."""
        return all_of(self.term(name).asked() for name in self.parts)

    def measure(self, voxels: Voxels) -> Tensor:
        """Sum of weight x part."""
        return torch.stack([self.weights[name] * self.term(name).measure(voxels) for name in self.parts]).sum()

    def term(self, name: str) -> Loss:
        """The loss behind a part."""
        part = self.terms[name]
        if not isinstance(part, Loss):
            raise TypeError(f"{name} is a {type(part).__name__}")
        return part


class DeepSupervision(nn.Module):
    """One loss on the outputs of several decoder stages, fine to coarse, with weights 1/2^i that sum to 1.

    The coarsest stage has weight 0 where there are several, as in nnU-Net (Isensee 2021): it sees too little to answer.
    Target and mask are strided down to each stage; what else there is, each stage has of its own, because a voxel is
    larger there and a strided skeleton is none. `loss` may be any module that takes (logits, target); it is handed a
    mask and the rest only where there is one.
    """

    def __init__(self, loss: nn.Module, levels: int) -> None:
        super().__init__()
        self.loss = loss
        self.weights = level_weights(levels)

    def forward(
        self, logits: Sequence[Tensor], target: Tensor, mask: Tensor | None = None, extras: Sequence[Extras] = ()
    ) -> Tensor:
        """Weighted sum over the stages; `extras`: what a loss is handed at each of them, or nothing."""
        if len(logits) != len(self.weights):
            raise ValueError(f"{len(logits)} outputs for a deep supervision of {len(self.weights)} levels")
        terms = []
        for stage, (level, weight) in enumerate(zip(logits, self.weights, strict=True)):
            if weight > 0:
                size = level.shape[2:]
                valid = () if mask is None else (resized(mask, size),)
                more = vars(extras[stage]) if extras else {}
                terms.append(weight * self.loss(level, resized(target, size), *valid, **more))
        return torch.stack(terms).sum()


def level_weights(levels: int) -> tuple[float, ...]:
    """1/2^i from fine to coarse, the last 0 where there are several, scaled to sum 1."""
    if levels < 1:
        raise ValueError(f"deep supervision needs at least one level, not {levels}")
    raw = [0.5**i for i in range(levels)]
    if levels > 1:
        raw[-1] = 0.0
    return tuple(w / sum(raw) for w in raw)


def resized(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels or a mask (..., *S) on a coarser grid: voxel floor(i S / s), a plain stride where s divides S."""
    first = labels.ndim - len(size)
    for axis, new in enumerate(size, start=first):
        old = labels.shape[axis]
        if old % new == 0:
            labels = labels[(slice(None),) * axis + (slice(None, None, old // new),)]
        else:
            picked = torch.arange(new, device=labels.device) * old // new
            labels = labels.index_select(axis, picked)
    return labels


def _nested_options(part: type[Loss]) -> type[Settings]:
    """What may stand under a part's name: all but the ignore label, because the compound alone reads the target."""
    fields: dict[str, Any] = {n: (p.annotation, p.default) for n, p in options_of(part).items() if n != "ignore_label"}
    model: type[Settings] = create_model(f"{part.__name__}Options", __base__=Settings, **fields)
    return model


def _common_modes(parts: Mapping[str, type[Loss]]) -> tuple[Mode, ...]:
    return tuple(mode for mode in Loss.modes if all(mode in part.modes for part in parts.values()))


def _shared_options(parts: Mapping[str, type[Loss]]) -> dict[str, inspect.Parameter]:
    regional = any(issubclass(part, OverlapLoss) for part in parts.values())
    return options_of(OverlapLoss if regional else Loss)


def _signature(parts: Mapping[str, type[Loss]], weights: Mapping[str, float]) -> inspect.Signature:
    def option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    own = []
    for name, part in parts.items():
        nested = _nested_options(part)
        own.append(option(f"{name}_weight", Annotated[Weight, f"Weight of the {name} part."], weights.get(name, 1.0)))
        own.append(option(name, Annotated[nested, f"Options of the {name} part."], nested()))
    mode = inspect.Parameter("mode", inspect.Parameter.POSITIONAL_ONLY, default="auto", annotation=ModeChoice)
    return inspect.Signature([mode, *own, *_shared_options(parts).values()])


def _part(part: type[Loss], mode: ModeChoice, shared: Mapping[str, Any], nested: Any) -> Loss:
    """A part with the shared options it knows and, over them, its own."""
    own = _given(nested)
    known = options_of(part)
    common = {name: value for name, value in shared.items() if name in known and name != "ignore_label"}
    return part(mode, **{**common, **own})


def _given(nested: Any) -> dict[str, Any]:
    if isinstance(nested, Settings):
        return {name: getattr(nested, name) for name in sorted(nested.model_fields_set)}
    return dict(nested or {})
