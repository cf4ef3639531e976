"""The network's operations on a CPU: PyTorch's values, without the gaps in its kernels.

Why so: a profile of a training step (float32, channels last, AVX2) shows that much of its time is not mathematics but
fallbacks. oneDNN has no kernel for the weights of a 3D convolution that is padded along its first axis; PyTorch has
none for the backward of a group normalisation whose channels lie last; it unfolds a 1x1 convolution on one thread into
a copy, and takes oneDNN for a single small sample not at all. Each has a twin without the gap: the convolution of a
volume that was padded before, the batch normalisation of one sample, a product of matrices, and oneDNN by its name.
On a GPU, in half precision and under a compiler or tracer the plain operations of PyTorch are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NO_DILATION = (1, 1, 1)
Triple = tuple[int, ...]


def applies(images: Tensor, weight: Tensor) -> bool:
    """Whether these operations are for such images: float32 on a CPU, run by nothing but PyTorch itself."""
    return (
        images.device.type == "cpu"
        and images.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]  # public, but for its stubs
    )


def convolution(images: Tensor, weight: Tensor, stride: Triple, padding: Triple) -> Tensor:
    """A convolution without bias, 2D or 3D: (B, inputs, *S) -> (B, outputs, *S / stride)."""
    dims = weight.ndim - 2
    if torch.is_grad_enabled() and weight.requires_grad:
        if lacks_a_kernel(weight, padding):
            result: Tensor = _Convolution.apply(images, weight, stride, padding)
            return result
        plain = F.conv3d if dims == 3 else F.conv2d
        return plain(images, weight, None, stride, padding)
    if torch.backends.mkldnn.is_available():
        named: Tensor = torch.mkldnn_convolution(images, weight, None, padding, stride, NO_DILATION[:dims], 1)
        return named
    return (F.conv3d if dims == 3 else F.conv2d)(images, weight, None, stride, padding)


def lacks_a_kernel(weight: Tensor, padding: Sequence[int]) -> bool:
    """Whether oneDNN would unfold the volume for the gradient of these weights: 3D, padded along the first axis, AVX2.

    What it has for AVX-512 knows such padding.
    """
    return weight.ndim == 5 and padding[0] > 0 and torch.backends.cpu.get_cpu_capability() == "AVX2"


def normalisation(images: Tensor, weight: Tensor, bias: Tensor, *, eps: float, slope: float) -> Tensor:
    """Instance normalisation, scale, shift and a leaky ReLU of that slope (1: none): (B, C, *S), likewise."""
    result: Tensor = _Normalisation.apply(images, weight, bias, eps, slope)
    return result


def pointwise(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 1x1 convolution: (B, inputs, *S) -> (B, outputs, *S), of which the last axis is innermost in memory."""
    result: Tensor = _Pointwise.apply(images, weight, bias)
    return result


def layout_of(images: Tensor) -> torch.memory_format:
    """Channels last, 2D or 3D, where the channels of a voxel lie side by side; contiguous otherwise."""
    last = torch.channels_last_3d if images.ndim == 5 else torch.channels_last
    return last if images.stride(1) == 1 else torch.contiguous_format


class _Convolution(torch.autograd.Function):
    """3D. PyTorch's own, but for the gradient of the weights."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: Triple, padding: Triple) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv3d(images, weight, None, stride, padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = _gradients(gradient, images, weight, ctx.stride, ctx.padding)[0]
        if ctx.needs_input_grad[1]:
            padded, rest = _padded(images, ctx.padding[0]), (0, *ctx.padding[1:])
            of_weight = _gradients(gradient, padded, weight, ctx.stride, rest, of="weight")[1]
        return of_images, of_weight, None, None


def _gradients(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: Triple, padding: Triple, of: str = "images"
) -> tuple[Tensor, Tensor]:
    wanted = [of == "images", of == "weight", False]
    shape = stride, padding, NO_DILATION, False, (0, 0, 0), 1
    found = torch.ops.aten.convolution_backward(gradient, images, weight, None, *shape, wanted)
    return found[0], found[1]


def _padded(images: Tensor, width: int) -> Tensor:
    """(B, C, X, Y, Z) with `width` planes of zeros at both ends of X: in channels last, a copy in one piece."""
    samples, channels, depth, *plane = images.shape
    shape = samples, channels, depth + 2 * width, *plane
    padded = torch.empty(shape, dtype=images.dtype, memory_format=layout_of(images))
    padded[:, :, :width] = 0
    padded[:, :, -width:] = 0
    padded[:, :, width:-width] = images
    return padded


class _Normalisation(torch.autograd.Function):
    """Group normalisation forward; backward, each sample as a batch of its own."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float) -> Tensor:
        images = images.contiguous(memory_format=layout_of(images))
        samples, channels = images.shape[:2]
        shape = samples, channels, images.shape[2:].numel(), channels
        result, mean, deviation = torch.native_group_norm(images, weight, bias, *shape, eps)
        if slope != 1:
            F.leaky_relu_(result, slope)
        ctx.save_for_backward(images, weight, result, mean, deviation)
        ctx.eps, ctx.slope = eps, slope
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, result, mean, deviation = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=layout_of(images))
        if ctx.slope != 1:
            # The sign of the result is the sign before the activation, since its slope is positive.
            gradient = torch.ops.aten.leaky_relu_backward(gradient, result, ctx.slope, True)
        found = [
            torch.ops.aten.native_batch_norm_backward(
                gradient[one], images[one], weight, None, None, mean[k], deviation[k], True, ctx.eps, [True] * 3
            )
            for k in range(len(images))
            for one in [slice(k, k + 1)]
        ]
        of_images, of_weight, of_bias = zip(*found, strict=True)
        return torch.cat(of_images), torch.stack(of_weight).sum(0), torch.stack(of_bias).sum(0), None, None


class _Pointwise(torch.autograd.Function):
    """Rows of voxels times a matrix; logits lie as a loss reads them, the gradient as the features do."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        samples, inputs, *space = images.shape
        matrix = weight.view(1, -1, inputs).expand(samples, -1, -1)
        return torch.baddbmm(bias.view(1, -1, 1), matrix, _rows(images).mT).view(samples, -1, *space)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        samples, inputs, *space = images.shape
        flat = gradient.reshape(samples, len(weight), -1)
        of_images = None
        if ctx.needs_input_grad[0]:
            rows = torch.bmm(flat.mT, weight.view(1, -1, inputs).expand(samples, -1, -1))
            of_images = rows.view(samples, *space, inputs).movedim(-1, 1)
        of_weight = torch.bmm(flat, _rows(images)).sum(0).view_as(weight)
        return of_images, of_weight, flat.sum((0, 2))


def _rows(images: Tensor) -> Tensor:
    """(B, C, *S) -> (B, voxels, C); without a copy where channels lie last."""
    return images.movedim(1, -1).reshape(len(images), -1, images.shape[1])
