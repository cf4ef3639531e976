"""Blocks keep sizes, start as simple functions and treat every sample and channel alone where they should."""

import pytest
import torch
from torch import nn

from segtrain.models.blocks import (
    LEAK,
    Convolution,
    Head,
    Normalisation,
    PlainUnit,
    ResidualUnit,
    channels_last,
    stage,
    upsampling,
)
from segtrain.models.initialisation import initialise

KERNELS = [(3, 3), (1, 1), (3, 3, 3), (3, 3, 1), (1, 3, 5)]
SIZE = (8, 6, 4)


def image(channels, dims, batch=2):
    return torch.randn(batch, channels, *SIZE[:dims], generator=torch.Generator().manual_seed(0))


def drawn(module: nn.Module) -> nn.Module:
    """With weights; a block leaves drawing them to its network."""
    initialise(module, seed=0)
    return module


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_convolution_keeps_the_size_at_stride_1_and_divides_it_otherwise(kernel):
    dims = len(kernel)
    ones, twos = (1,) * dims, (2,) * dims
    x = image(3, dims)
    assert drawn(Convolution(3, 5, kernel, ones))(x).shape == (2, 5, *SIZE[:dims])
    assert drawn(Convolution(3, 5, kernel, twos))(x).shape == (2, 5, *(n // 2 for n in SIZE[:dims]))


def test_a_convolution_has_no_bias_since_a_normalisation_follows():
    assert [n for n, _ in Convolution(3, 5, (3, 3, 3), (1, 1, 1)).named_parameters()] == ["weight"]


@pytest.mark.parametrize(("dims", "judge"), [(2, nn.InstanceNorm2d), (3, nn.InstanceNorm3d)])
def test_normalisation_is_instance_normalisation(dims, judge):
    x = 5 + 3 * image(4, dims)
    assert torch.allclose(Normalisation(4)(x), judge(4, affine=True)(x), atol=1e-5)
    leaking = nn.functional.leaky_relu(judge(4, affine=True)(x), 0.1)
    assert torch.allclose(Normalisation(4, slope=0.1)(x), leaking, atol=1e-5)


def test_a_plain_unit_is_normalised_and_leaks():
    unit = drawn(PlainUnit(1, 4, (3, 3, 3), (1, 1, 1)))
    answer = unit(image(1, 3))
    before = torch.where(answer < 0, answer / LEAK, answer)
    assert torch.allclose(before.mean(dim=(2, 3, 4)), torch.zeros(2, 4), atol=1e-5)
    assert torch.allclose(before.var(dim=(2, 3, 4), unbiased=False), torch.ones(2, 4), atol=1e-2)


@pytest.mark.parametrize("unit", [PlainUnit, ResidualUnit])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 4), (3, 5)])
@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), (2, 1)), ((3, 3, 3), (1, 1, 1)), ((3, 3, 1), (2, 2, 1))])
def test_a_unit_has_the_size_that_its_stride_says(unit, inputs, outputs, kernel, stride):
    answer = drawn(unit(inputs, outputs, kernel, stride))(image(inputs, len(kernel)))
    expected = tuple(n // s for n, s in zip(SIZE, stride, strict=False))
    assert answer.shape == (2, outputs, *expected)


def silence(unit: ResidualUnit) -> ResidualUnit:
    """Take the convolved path out, so that only the side path is left."""
    nn.init.zeros_(drawn(unit).second[1].weight)
    return unit


def test_the_side_path_of_a_residual_unit_is_the_identity():
    x = image(4, 3)
    unit = silence(ResidualUnit(4, 4, (3, 3, 3), (1, 1, 1)))
    assert torch.allclose(unit(x), nn.functional.leaky_relu(x, LEAK))


def test_the_side_path_pools_where_the_unit_strides():
    x = image(4, 3)
    unit = silence(ResidualUnit(4, 4, (3, 3, 3), (2, 2, 1)))
    pooled = nn.functional.avg_pool3d(x, (2, 2, 1))
    assert torch.allclose(unit(x), nn.functional.leaky_relu(pooled, LEAK))


@pytest.mark.parametrize("style", ["plain", "residual"])
@pytest.mark.parametrize("units", [1, 3])
def test_only_the_first_unit_of_a_stage_strides_and_widens(style, units):
    blocks = drawn(stage(style, 2, 5, kernel=(3, 3, 3), stride=(2, 2, 2), units=units))
    assert len(blocks) == units
    assert [tuple(block(image(5, 3)).shape) for block in blocks[1:]] == [(2, 5, *SIZE)] * (units - 1)
    assert blocks(image(2, 3)).shape == (2, 5, 4, 3, 2)


@pytest.mark.parametrize("stride", [(2, 2), (2, 1), (2, 2, 2), (2, 2, 1), (1, 1, 1)])
def test_upsampling_multiplies_the_size_and_each_voxel_fills_its_own_block(stride):
    dims = len(stride)
    grow = upsampling(1, 1, stride)
    nn.init.ones_(grow.weight)
    x = image(1, dims, batch=1)
    expected = x
    for axis, factor in enumerate(stride):
        expected = expected.repeat_interleave(factor, dim=2 + axis)
    assert torch.allclose(grow(x), expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_head_answers_for_each_voxel_alone(dims):
    answer = drawn(Head(3, 2, dims))
    x = image(3, dims)
    changed = x.clone()
    changed[0, :, 0, 0] += 1
    moved = (answer(changed) - answer(x)).abs().sum(dim=1) > 1e-6
    assert moved[0, 0, 0].all()
    assert int(moved.sum()) == moved[0, 0, 0].numel()


@pytest.mark.parametrize("dims", [2, 3])
def test_channels_lie_last_in_memory(dims):
    x = torch.zeros(2, 3, *(4,) * dims).to(memory_format=channels_last(dims))
    assert x.stride(1) == 1
