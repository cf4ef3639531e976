"""What every loss of the package is: `loss(logits, target, mask=None) -> scalar`, smaller is better.

A loss owns the activation, the mask and the mode; a subclass only says how a checked set of voxels is measured. Its
options are the keyword-only parameters of its `__init__`; a trailing `**shared` stands for those of the class above,
so that an option shared by many losses is written once.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.overrides import has_torch_function

from segtrain.core.errors import ConfigError, Problem
from segtrain.losses.asked import NOTHING, Asked
from segtrain.losses.options import Weight
from segtrain.losses.voxels import Extras, Mode, Reading, Voxels, read

ModeChoice = Mode | Literal["auto"]


class Loss(nn.Module, ABC):
    """Base of the shipped losses; the class attributes are what its card shows."""

    modes: ClassVar[tuple[Mode, ...]] = ("multiclass", "binary", "multilabel")
    """What it can be used for; the first that suits a task is taken."""
    family: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    optimum: float | None = 0.0
    """Value at a perfect, certain answer; None: a perfect answer is not its minimum. Options may change it."""
    shared_voxels: ClassVar[bool] = False
    """Whether exclusive classes may share a voxel: in mode multiclass a floating target (B, C, *S) is taken too."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Maps of the truth that it computes itself unless the caller has them."""
    good_for: ClassVar[str] = ""
    """What speaks for it, by published evidence or, where there is none, by its formula: at most 110 characters."""
    bad_at: ClassVar[str] = ""
    """What speaks against it, likewise."""
    caution: ClassVar[str] = ""
    """What a user should be told before a run with it."""

    class_weights: Tensor | None

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        # `inspect.signature`, and through it the registry, reads this instead of the own `__init__`.
        cls.__signature__ = signature_with_inherited(cls)  # type: ignore[attr-defined]

    def __init__(
        self,
        mode: ModeChoice = "auto",
        /,
        *,
        class_weights: Annotated[
            tuple[Weight, ...] | None,
            "One weight an output channel, the background's included, or in a config {label: weight}; null: all alike.",
        ] = None,
        ignore_label: Annotated[int | None, "Voxels with this value in the target do not count."] = None,
    ) -> None:
        super().__init__()
        if mode != "auto" and mode not in self.modes:
            raise ConfigError(
                Problem(
                    f"{type(self).__name__} has no mode {mode!r}",
                    why=f"it is defined for {', '.join(self.modes)}",
                )
            )
        self.mode = mode
        self.ignore_label = ignore_label
        self.register_buffer("class_weights", None if class_weights is None else torch.tensor(class_weights).float())

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        *,
        weight_map: Tensor | None = None,
        spacing_mm: tuple[float, ...] | None = None,
        maps: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Scalar loss of logits (B, C, *S); `mask` (B, *S) or (B, 1, *S) is true where a voxel counts.

        `weight_map`, of the shape of a mask, says how much; `spacing_mm` how large voxels are, for losses that measure
        distances (None: all sides 1); `maps` are precomputed maps of the truth by name, for losses that `need` some.
        The loss has to be on the device of the logits (`loss.to(device)`): class weights are a buffer.
        """
        logits, target = _plain(logits), _plain(target)
        given = Extras(
            None if weight_map is None else _plain(weight_map),
            spacing_mm,
            {name: _plain(values) for name, values in (maps or {}).items()},
        )
        with torch.autocast(device_type=logits.device.type, enabled=False):
            how = Reading(self.mode, self.ignore_label, self.asked(), self.shared_voxels)
            voxels = read(logits, target, None if mask is None else _plain(mask), how, given)
            if voxels.mode not in self.modes:
                raise ValueError(
                    f"{type(self).__name__} works on {', '.join(self.modes)} targets; logits {tuple(logits.shape)} and "
                    f"target {tuple(target.shape)} {target.dtype} are {voxels.mode}"
                )
            return self.measure(voxels)

    def asked(self) -> Asked:
        """Sums that `measure` will ask for: said before, they share one pass."""
        return NOTHING

    @abstractmethod
    def measure(self, voxels: Voxels) -> Tensor:
        """The scalar value; joined to the logits' graph even where no voxel counts."""

    def weights_of(self, voxels: Voxels) -> Tensor | None:
        """Class weights (C,) in the dtype of the logits."""
        if self.class_weights is None:
            return None
        if len(self.class_weights) != voxels.outputs:
            raise ValueError(
                f"class_weights has {len(self.class_weights)} numbers for {voxels.outputs} output channels"
            )
        return self.class_weights.to(voxels.dtype)


def _plain(values: Tensor) -> Tensor:
    """Without a class that changes what functions of torch do, such as MONAI's MetaTensor; joined to the same graph."""
    return values.as_subclass(Tensor) if has_torch_function((values,)) else values


def signature_with_inherited(loss: type) -> inspect.Signature:
    """Signature of `loss.__init__` where `**shared` is replaced by the keyword-only parameters of the class above."""
    options: dict[str, inspect.Parameter] = {}
    for owner in loss.__mro__:
        if "__init__" not in vars(owner):
            continue
        own = inspect.signature(vars(owner)["__init__"], eval_str=True).parameters.values()
        options |= {p.name: p for p in own if p.kind is p.KEYWORD_ONLY and p.name not in options}
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    mode = inspect.Parameter("mode", inspect.Parameter.POSITIONAL_ONLY, default="auto", annotation=ModeChoice)
    return inspect.Signature([mode, *options.values()])
