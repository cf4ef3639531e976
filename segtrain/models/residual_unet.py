"""U-Net with a residual encoder (Isensee et al. 2024, "nnU-Net Revisited", arXiv 2404.09556).

A stem, then residual blocks, many of them in the deep stages, and one convolution a stage on the way up: the encoder
has nearly all of the depth. How many blocks, and how large the patch is, is a preset: S, M or L.
"""

from __future__ import annotations

from torch import Tensor, nn

from segtrain.core.plan import Plan
from segtrain.models.blocks import PlainUnit, ResidualUnit, stage
from segtrain.models.decoding import Sizes, decode, decoder_stages, heads
from segtrain.models.initialisation import initialise
from segtrain.models.network import Network
from segtrain.models.registry import register_model
from segtrain.models.settings import ModelSettings


@register_model("residual_unet")
class ResidualUNet(Network):
    """Images (B, channels, *S) -> logits, finest first, as `UNet` has them.

    Each block starts as the identity: the last normalisation before the sum begins with scale 0 (Goyal et al. 2017,
    section 5.1), as in nnU-Net.
    """

    def __init__(self, plan: Plan, settings: ModelSettings, *, outputs: int, seed: int) -> None:
        super().__init__()
        self.sizes = Sizes.of(plan)
        kernels, strides = self.sizes.kernels, self.sizes.strides
        widths = [plan.widths[0], *plan.widths]
        self.stem = PlainUnit(len(plan.channels), plan.widths[0], kernels[0], strides[0])
        self.encoder = nn.ModuleList(
            stage("residual", widths[i], widths[i + 1], kernel=kernels[i], stride=strides[i], units=blocks)
            for i, blocks in enumerate(plan.convolutions)
        )
        self.up, self.decoder = decoder_stages(self.sizes, plan)
        self.heads = heads(self.sizes, plan, outputs, levels=len(plan.widths) if settings.deep_supervision else 1)
        initialise(self, seed)
        for block in self.modules():
            if isinstance(block, ResidualUnit):
                nn.init.zeros_(block.last_scale)

    @property
    def levels(self) -> int:
        """Stages that answer while training."""
        return len(self.heads)

    @property
    def input_weights(self) -> tuple[str, ...]:
        """Of the stem."""
        return ("stem.0.weight",)

    @property
    def output_weights(self) -> tuple[str, ...]:
        """Of the heads."""
        return tuple(f"heads.{name}" for name, _ in self.heads.named_parameters())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, *S) -> logits, finest first."""
        self.sizes.require_fitting(images)
        x = self.stem(images)
        skips: list[Tensor] = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        return decode(skips, self.up, self.decoder, self.heads, levels=self.levels if self.training else 1)
