"""U-Net (Ronneberger et al. 2015; Cicek et al. 2016) in the shape that nnU-Net gave it (Isensee et al. 2021).

Strided convolutions down, transposed convolutions up, instance normalisation, leaky ReLU, optional residual
units and optional deep supervision. Sizes come from the plan.
"""

from __future__ import annotations

from torch import Tensor, nn

from segtrain.core.plan import Plan
from segtrain.models.blocks import stage
from segtrain.models.decoding import Sizes, decode, decoder_stages, heads
from segtrain.models.initialisation import initialise
from segtrain.models.network import Network
from segtrain.models.registry import register_model
from segtrain.models.settings import ModelSettings


@register_model("unet")
class UNet(Network):
    """Images (B, channels, *S) -> logits, finest first.

    While training with deep supervision: one tensor a decoder stage, (B, outputs, *S_i). Otherwise a tuple of
    one, (B, outputs, *S). Each axis of S must be a multiple of the plan's strides.
    """

    def __init__(self, plan: Plan, settings: ModelSettings, *, outputs: int, seed: int) -> None:
        super().__init__()
        self.sizes = Sizes.of(plan)
        self.deep_supervision = settings.deep_supervision
        widths = [len(plan.channels), *plan.widths]
        kernels, strides = self.sizes.kernels, self.sizes.strides
        self.encoder = nn.ModuleList(
            stage(settings.block, widths[i], widths[i + 1], kernel=kernels[i], stride=strides[i], units=units)
            for i, units in enumerate(plan.convolutions)
        )
        self.up, self.decoder = decoder_stages(self.sizes, plan)
        self.heads = heads(self.sizes, plan, outputs, levels=len(plan.widths) if settings.deep_supervision else 1)
        initialise(self, seed)

    @property
    def levels(self) -> int:
        """Stages that answer while training."""
        return len(self.heads)

    @property
    def input_weights(self) -> tuple[str, ...]:
        """Of the first unit, and of the path beside it."""
        names = ("encoder.0.0.0", "encoder.0.0.first.0", "encoder.0.0.side.0")
        return tuple(f"{name}.weight" for name in names if f"{name}.weight" in self.state_dict())

    @property
    def output_weights(self) -> tuple[str, ...]:
        """Of the heads."""
        return tuple(f"heads.{name}" for name, _ in self.heads.named_parameters())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, *S) -> logits, finest first."""
        self.sizes.require_fitting(images)
        skips: list[Tensor] = []
        for encode in self.encoder:
            skips.append(encode(skips[-1] if skips else images))
        return decode(skips, self.up, self.decoder, self.heads, levels=self.levels if self.training else 1)


def count_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
