"""Each operation has PyTorch's values and gradients, in every layout, whatever kernel it takes."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.models import cpu_operations as on_cpu
from segtrain.models.blocks import channels_last
from segtrain.models.settings import ModelSettings
from segtrain.models.unet import UNet

LAYOUTS = ["contiguous", "channels last", "a slice of more channels"]


def images(channels: int, size: tuple[int, ...], layout: str, batch: int = 2) -> torch.Tensor:
    """Values far from mean 0 and deviation 1."""
    random = torch.Generator().manual_seed(0)
    made = 2 + 3 * torch.randn(batch, 2 * channels, *size, generator=random)
    if layout == "contiguous":
        return made[:, :channels].contiguous()
    made = made.to(memory_format=channels_last(len(size)))
    part = made[:, channels:]
    return part if layout.startswith("a slice") else part.contiguous(memory_format=channels_last(len(size)))


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def both(ours, plain, *given: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Value and gradients of the two, those of the judge in float64."""
    found = []
    for function, dtype in ((ours, torch.float32), (plain, torch.float64)):
        inputs = [one.detach().to(dtype).requires_grad_() for one in given]
        value = function(*inputs)
        pull = drawn(*value.shape).to(dtype)
        found.append([value.detach(), *torch.autograd.grad(value, inputs, pull)])
    return list(zip(*found, strict=True))


def assert_same(pairs) -> None:
    for ours, plain in pairs:
        assert ours.shape == plain.shape
        error = (ours.double() - plain).norm() / plain.norm()
        assert error < 5e-6, error


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [(3, 3, 3), (3, 3, 1), (1, 3, 3)])
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 1)])
def test_a_convolution_has_the_gradients_of_pytorch(layout, kernel, stride):
    padding = tuple(k // 2 for k in kernel)
    pairs = both(
        lambda x, w: on_cpu.convolution(x, w, stride, padding),
        lambda x, w: F.conv3d(x, w, None, stride, padding),
        images(4, (8, 6, 5), layout),
        drawn(3, 4, *kernel),
    )
    assert_same(pairs)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_convolution_without_gradient_has_the_values_of_pytorch(dims, batch):
    x, w = images(4, (8, 6, 5)[:dims], "channels last", batch), drawn(3, 4, *(3,) * dims)
    plain = (F.conv2d, F.conv3d)[dims - 2]
    with torch.inference_mode():
        assert torch.allclose(on_cpu.convolution(x, w, (1,) * dims, (1,) * dims), plain(x, w, None, 1, 1), atol=1e-4)


def test_frozen_weights_still_hand_the_gradient_on():
    x, w = images(4, (8, 6, 5), "channels last").requires_grad_(), drawn(3, 4, 3, 3, 3)
    on_cpu.convolution(x, w, (1, 1, 1), (1, 1, 1)).sum().backward()
    assert torch.allclose(x.grad[:, :, 2, 2, 2], w.sum((0, 2, 3, 4)).expand(2, -1), atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(8, 6, 5), (8, 6)])
@pytest.mark.parametrize("slope", [1.0, 0.01])
def test_a_normalisation_with_its_activation_has_the_gradients_of_pytorch(layout, size, slope):
    pairs = both(
        lambda x, w, b: on_cpu.normalisation(x, w, b, eps=1e-5, slope=slope),
        lambda x, w, b: F.leaky_relu(F.group_norm(x, 4, w, b, 1e-5), slope),
        images(4, size, layout),
        drawn(4),
        drawn(4) - 0.3,
    )
    assert_same(pairs)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(8, 6, 5), (8, 6)])
def test_a_pointwise_convolution_has_the_gradients_of_pytorch(layout, size):
    ones = (1,) * len(size)
    pairs = both(
        on_cpu.pointwise,
        lambda x, w, b: (F.conv2d, F.conv3d)[len(size) - 2](x, w, b),
        images(4, size, layout),
        drawn(3, 4, *ones),
        drawn(3),
    )
    assert_same(pairs)


def test_gradients_lie_in_memory_as_the_features_do():
    """Else each later operation would turn them over."""
    x = images(4, (8, 6, 5), "channels last").requires_grad_()
    operations = [
        lambda: on_cpu.convolution(x, drawn(4, 4, 3, 3, 3).requires_grad_(), (1, 1, 1), (1, 1, 1)),
        lambda: on_cpu.normalisation(x, drawn(4), drawn(4), eps=1e-5, slope=0.01),
        lambda: on_cpu.pointwise(x, drawn(3, 4, 1, 1, 1), drawn(3)),
    ]
    for operation in operations:
        value = operation()
        (gradient,) = torch.autograd.grad(value, x, torch.ones_like(value, memory_format=torch.contiguous_format))
        assert gradient.is_contiguous(memory_format=torch.channels_last_3d)


def test_logits_lie_as_a_loss_reads_them():
    x = images(4, (8, 6, 5), "channels last")
    assert on_cpu.pointwise(x, drawn(3, 4, 1, 1, 1), drawn(3)).is_contiguous()


def small_network() -> UNet:
    intensity = (ChannelIntensity(channel="c", rule="zscore"),)
    threes, twos = ((3, 3, 3),) * 2, ((2, 2, 2),)
    plan = Plan(
        dims=3, spacing_mm=(1, 1, 1), patch_size=(8, 8, 8), batch_size=2, widths=(4, 8), strides=twos, kernels=threes,
        convolutions=(1, 1), intensity=intensity,
    )  # fmt: skip
    return UNet(plan, ModelSettings(block="residual"), outputs=2, seed=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("way", ["autocast", "float64", "traced"])
def test_elsewhere_the_plain_operations_are_taken(way, monkeypatch):
    for name in ("convolution", "normalisation", "pointwise"):
        monkeypatch.setattr(on_cpu, name, None)
    model, x = small_network(), torch.randn(1, 1, 8, 8, 8)
    if way == "autocast":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert model(x)[0].dtype == torch.bfloat16
    elif way == "float64":
        assert model.double()(x.double())[0].dtype == torch.float64
    else:
        traced = torch.jit.trace(model.eval(), x, check_trace=False)
        assert traced(x)[0].shape == (1, 2, 8, 8, 8)


def test_the_whole_network_has_the_gradients_of_the_plain_operations(monkeypatch):
    model, x = small_network(), torch.randn(2, 1, 8, 8, 8)
    judge = copy.deepcopy(model).double()

    def gradients(network: nn.Module, image: torch.Tensor) -> dict[str, torch.Tensor]:
        sum(level.square().mean() for level in network(image)).backward()
        return {name: p.grad.double() for name, p in network.named_parameters()}

    expected = gradients(judge, x.double())
    found = gradients(model.to(memory_format=torch.channels_last_3d), x)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5 * float(gradient.abs().max()) + 1e-6), name
