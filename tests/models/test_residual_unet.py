"""A residual encoder: blocks that start as the identity, one convolution a stage on the way up."""

from __future__ import annotations

import torch

from segtrain.core.plan import Plan
from segtrain.models.blocks import ResidualUnit
from segtrain.models.residual_unet import ResidualUNet
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import count_parameters
from tests.models import networks

SETTINGS = ModelSettings(name="residual_unet")


def network(channels=("c0",), outputs=3, **changes) -> ResidualUNet:
    plan = Plan(**{**dict(networks.plan(channels=channels)), "decoder_convolutions": (1, 1), **changes})
    return ResidualUNet(plan, SETTINGS, outputs=outputs, seed=0)


def test_blocks_stand_in_the_encoder_and_plain_units_on_the_way_up():
    model = network()
    assert [len(stage) for stage in model.encoder] == [1, 2, 2]
    assert all(isinstance(block, ResidualUnit) for stage in model.encoder for block in stage)
    assert [len(stage) for stage in model.decoder] == [1, 1]


def test_a_block_starts_as_its_side_path():
    model = network()
    block = model.encoder[1][1]
    x = torch.randn(2, 8, 8, 6, 4)
    assert torch.allclose(block(x), torch.nn.functional.leaky_relu(x, 0.01))


def test_the_deepest_blocks_learn_after_a_step():
    model = network()
    rate = 0.1
    for _ in range(2):
        model.zero_grad()
        sum(level.square().mean() for level in model(torch.randn(2, 1, 16, 12, 8))).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= rate * parameter.grad
    assert all(parameter.grad.any() for parameter in model.parameters())


def test_the_number_of_weights_is_that_of_the_paper():
    """By hand: stem, two convolutions a block, projections, transposed and plain convolutions, heads."""
    norm = 2

    def convolution(inputs: int, outputs: int, kernel: int = 27) -> int:
        return inputs * outputs * kernel + norm * outputs

    blocks = 2 * convolution(4, 4)
    blocks += convolution(4, 8) + convolution(8, 8) + convolution(4, 8, 1) + 2 * convolution(8, 8)
    blocks += convolution(8, 16) + convolution(16, 16) + convolution(8, 16, 1) + 2 * convolution(16, 16)
    upwards = 16 * 8 * 8 + convolution(16, 8) + 8 * 4 * 8 + convolution(8, 4)
    heads = (4 * 3 + 3) + (8 * 3 + 3)
    assert count_parameters(network()) == convolution(1, 4) + blocks + upwards + heads


def test_only_the_stem_reads_the_image():
    model = network(channels=("c0", "c1"), outputs=5)
    assert model.input_weights == ("stem.0.weight",)
    assert model.get_parameter("stem.0.weight").shape[1] == 2
    assert set(model.output_weights) == {name for name, p in model.named_parameters() if p.shape[0] == 5}
