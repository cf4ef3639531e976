"""Small plans and networks of one's own, for tests."""

from __future__ import annotations

from pathlib import Path

from segtrain.core.plan import ChannelIntensity, Plan

OWN = """\
import torch
from torch import nn


class Net(nn.Module):
    '''One convolution and a normalisation with a memory of its own.'''

    def __init__(self, plan, outputs, *, kernel: int = 3):
        super().__init__()
        self.body = nn.Conv3d(len(plan.channels), 4, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm3d(4)
        self.last = nn.Conv3d(4, outputs, 1)

    def forward(self, images):
        return self.last(self.norm(self.body(images)))


class Deep(Net):
    '''Answers at two levels.'''

    def forward(self, images):
        logits = super().forward(images)
        return [logits, nn.functional.avg_pool3d(logits, 2)]


class Wrong(Net):
    def forward(self, images):
        return super().forward(images)[:, :1]


class Silent(Net):
    def forward(self, images):
        return None


class Failing(Net):
    def forward(self, images):
        raise RuntimeError("no table")


def make(plan, outputs, *, depth: int):
    return nn.Sequential(*(Net(plan, outputs) for _ in range(1)))


def no_module(plan, outputs):
    return 7
"""


def write_own(folder: Path) -> Path:
    """`mine.py` with several networks."""
    (folder / "mine.py").write_text(OWN, encoding="utf-8")
    return folder


def plan(dims: int = 3, channels: tuple[str, ...] = ("c0",), stages: int = 3) -> Plan:
    """Of few voxels, with halved axes; 2D cuts slices across the last axis."""
    flat = dims == 2
    one, two, three = (1, 1, 1), (2, 2, 1) if flat else (2, 2, 2), (3, 3, 1) if flat else (3, 3, 3)
    return Plan(
        dims=dims,
        slice_axis=2 if flat else None,
        spacing_mm=(1.0, 1.0, None if flat else 2.0),
        patch_size=(16, 12, 1) if flat else (16, 12, 8),
        batch_size=2,
        widths=(4, 8, 16)[:stages],
        strides=(two, two)[: stages - 1],
        kernels=(three,) * stages if stages > 1 else (one,),
        convolutions=(1, 2, 2)[:stages],
        intensity=tuple(ChannelIntensity(channel=name, rule="zscore") for name in channels),
    )
