"""U-Net (Ronneberger et al. 2015; Cicek et al. 2016) in the shape that nnU-Net gave it (Isensee et al. 2021).

Strided convolutions down, transposed convolutions up, instance normalisation, leaky ReLU, optional residual
units and optional deep supervision. Sizes come from the plan. Weights are drawn per parameter *name*, so two
networks that differ only in the number of outputs start from the same weights everywhere else: that is what
makes a race between losses fair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from segtrain.core.plan import Plan
from segtrain.core.seeds import key_of
from segtrain.models.blocks import LEAK, head, stage, upsampling
from segtrain.models.settings import ModelSettings


class UNet(nn.Module):
    """Images (B, channels, *S) -> logits, finest first.

    While training with deep supervision: one tensor a decoder stage, (B, outputs, *S_i). Otherwise a tuple of
    one, (B, outputs, *S). Each axis of S must be a multiple of the plan's strides.
    """

    def __init__(self, plan: Plan, settings: ModelSettings, *, outputs: int, seed: int) -> None:
        super().__init__()
        keep = [axis for axis in range(3) if axis != plan.slice_axis]
        strides = [(1,) * len(keep), *(tuple(s[a] for a in keep) for s in plan.strides)]
        kernels = [tuple(k[a] for a in keep) for k in plan.kernels]
        self.factors = tuple(plan.downsampling[a] for a in keep)
        self.deep_supervision = settings.deep_supervision
        widths = [len(plan.channels), *plan.widths]
        self.encoder = nn.ModuleList(
            stage(settings.block, widths[i], widths[i + 1], kernel=kernels[i], stride=strides[i], units=units)
            for i, units in enumerate(plan.convolutions)
        )
        levels = range(len(plan.widths) - 1)
        self.up = nn.ModuleList(upsampling(plan.widths[i + 1], plan.widths[i], strides[i + 1]) for i in levels)
        ones = (1,) * len(keep)
        self.decoder = nn.ModuleList(
            stage(
                "plain", 2 * plan.widths[i], plan.widths[i], kernel=kernels[i], stride=ones, units=plan.convolutions[i]
            )
            for i in levels
        )
        supervised = max(1, len(levels)) if settings.deep_supervision else 1
        self.heads = nn.ModuleList(head(plan.widths[i], outputs, len(keep)) for i in range(supervised))
        initialise(self, seed)

    @property
    def levels(self) -> int:
        """Stages that answer while training."""
        return len(self.heads)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, *S) -> logits, finest first."""
        self._require_fitting(images)
        skips = []
        x = images
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        wanted = len(self.heads) if self.training and self.deep_supervision else 1
        logits: list[Tensor] = [self.heads[0](x)] if not self.up else []
        for level in reversed(range(len(self.up))):
            x = self.decoder[level](torch.cat([self.up[level](x), skips[level]], dim=1))
            if level < wanted:
                logits.insert(0, self.heads[level](x))
        return tuple(logits)

    def _require_fitting(self, images: Tensor) -> None:
        size = tuple(images.shape[2:])
        if len(size) != len(self.factors) or any(n % f for n, f in zip(size, self.factors, strict=True)):
            raise ValueError(f"the network takes sizes that are multiples of {self.factors}, not {size}")


def initialise(model: nn.Module, seed: int) -> None:
    """He's normal initialisation for a leaky ReLU, drawn by parameter name; biases and shifts are zero."""
    gain = nn.init.calculate_gain("leaky_relu", LEAK)
    for name, weight in _drawn_weights(model):
        fan_in = weight[0].numel()
        generator = torch.Generator().manual_seed(key_of(seed, "weights", name) % 2**63)
        with torch.no_grad():
            weight.copy_(torch.empty(weight.shape).normal_(0, gain / math.sqrt(fan_in), generator=generator))


def _drawn_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            yield name, parameter
        else:
            nn.init.constant_(parameter, 1.0 if name.endswith("weight") else 0.0)


def count_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
