"""Sizes of residual encoders are counted as nnU-Net counts them."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from segtrain.core.plan import Plan, Preset
from segtrain.data.plan.presets import PRESETS, feature_values
from tests.plans import small_plan


def test_each_preset_has_its_sizes():
    assert set(PRESETS) == set(get_args(Preset))


@pytest.mark.parametrize(
    ("dims", "side", "widths", "total"),
    [
        (3, 128, (32, 64, 128, 256, 320, 320), 558_319_104),
        (2, 512, (32, 64, 128, 256, 512, 512, 512), 129_793_792),
    ],
)
def test_values_are_those_that_nnunets_planner_notes_for_its_own_network(dims, side, widths, total):
    """residual_encoder_unet_planners.py of nnunetv2 2.8.1, with three outputs at every level but the bottleneck."""
    blocks, strides = PRESETS["M"].blocks_of(len(widths)), ((2,) * dims,) * (len(widths) - 1)
    heads = 3 * sum((side // 2**stage) ** dims for stage in range(len(widths) - 1))
    assert feature_values(widths, blocks, strides, (side,) * dims) + heads == total


def test_values_are_what_the_convolutions_of_the_network_write():
    from segtrain.models.blocks import Convolution
    from segtrain.models.residual_unet import ResidualUNet
    from segtrain.models.settings import ModelSettings

    changes = {"convolutions": (1, 2, 3), "decoder_convolutions": (1, 1)}
    plan = Plan(**{**dict(small_plan(widths=(4, 8, 16), patch=(16, 16, 8))), **changes})
    model = ResidualUNet(plan, ModelSettings(name="residual_unet"), outputs=2, seed=0)
    written = []
    for module in model.modules():
        if isinstance(module, Convolution | nn.ConvTranspose3d):
            module.register_forward_hook(lambda _module, _given, value: written.append(value.numel()))
    model(torch.zeros(1, 1, 16, 16, 8))
    assert feature_values(plan.widths, plan.convolutions, plan.strides, plan.patch_size) == sum(written)


def test_deeper_stages_have_as_many_blocks_as_the_last_one_that_is_listed():
    preset = PRESETS["M"]
    assert preset.blocks_of(3) == (1, 3, 4)
    assert preset.blocks_of(8) == (1, 3, 4, 6, 6, 6, 6, 6)


def test_a_batch_fills_the_card_and_is_no_more_than_a_small_share_of_the_scans():
    preset = PRESETS["M"]
    full, half = preset.feature_values[3], preset.feature_values[3] // 2
    assert preset.batch_size(full, 3, scans_in_patches=1e6) == 2
    assert preset.batch_size(half, 3, scans_in_patches=1e6) == 4
    assert preset.batch_size(half // 50, 3, scans_in_patches=100) == 5
    assert preset.batch_size(half // 50, 3, scans_in_patches=10) == 2
    assert preset.batch_size(preset.feature_values[2], 2, scans_in_patches=1e6) == 12
