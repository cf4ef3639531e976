"""What a person may say about the network. What is left out comes from the plan. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from segtrain.core.plan import Positive, Preset, Size3
from segtrain.core.settings import Component, as_component

Width = Annotated[int, Field(ge=1, le=4096)]

SHIPPED = ("residual_unet", "unet")
"""Networks whose only options are the keys below; another one's own stand beside them."""


class ModelSettings(Component):
    """The network; every null is decided by the plan."""

    name: str = "unet"
    """unet, residual_unet, or `file.py:Net` (relative to the YAML) and `package.module:Net`."""
    preset: Preset | None = None
    """residual_unet: its depth and what the patch may take; on a GPU 4 (S), 8 (M) or 24 (L) GB."""
    dims: Literal[2, 3] = 3
    block: Literal["plain", "residual"] = "plain"
    """unet: units of the encoder."""
    deep_supervision: bool = True
    """Coarser decoder stages answer too, and their losses count half as much a stage."""
    widths: tuple[Width, ...] | None = Field(default=None, min_length=1)
    """Feature channels of each stage; their number is the depth."""
    convolutions: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Convolutions (residual_unet: blocks) of each encoder stage."""
    spacing_mm: tuple[Positive, Positive, Positive] | None = None
    """Target spacing along R, A, S."""
    patch_size: Size3 | None = None
    """Patch along R, A, S, in voxels of the target spacing."""
    init_from: Path | None = None
    """A run, or a checkpoint of one, to start from: its weights, and whatever of its network is not set here."""

    @model_validator(mode="before")
    @classmethod
    def _a_residual_encoder_has_a_preset(cls, value: Any) -> Any:
        value = as_component(value)
        if isinstance(value, dict) and value.get("name") == "residual_unet" and value.get("preset") is None:
            return {**value, "preset": "M"}
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _unknown_keys_are_refused(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made = handler(value)
        if made.name in SHIPPED and made.options:
            raise ValidationError.from_exception_data(
                cls.__name__,
                [InitErrorDetails(type="extra_forbidden", loc=(key,), input=v) for key, v in made.options.items()],
            )
        return made

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.preset is not None and self.name != "residual_unet":
            raise ValueError("preset belongs to name: residual_unet")
        if self.block == "residual" and self.name != "unet":
            raise ValueError("block belongs to name: unet; a residual_unet has residual blocks throughout its encoder")
        return self
