"""Tiles over a whole scan, blended with Gaussian weights (nnU-Net: sigma an eighth of the window)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrain.core.errors import Problem, UnreadableScan
from segtrain.core.memory import memory_errors
from segtrain.core.plan import Plan
from segtrain.inference.settings import InferenceSettings
from segtrain.models.blocks import channels_last

SIGMA_SHARE = 1 / 8
"""Width of the Gaussian, in window sizes."""


def sliding_logits(
    model: nn.Module, image: NDArray[np.float32], plan: Plan, settings: InferenceSettings, device: torch.device
) -> NDArray[np.float32]:
    """Image (channels, X, Y, Z) -> blended logits (outputs, X, Y, Z), float32.

    A scan smaller than the window is padded with 0, the mean intensity, as patches are in training. ResourceError
    where memory is too small.
    """
    scan, window = ("x".join(map(str, size)) for size in (image.shape[1:], plan.patch_size))
    doing = f"predicting a scan of {scan} voxels in windows of {window}"
    hint = "set a smaller inference.batch_size, or take --device cpu on a machine with more memory"
    with memory_errors(doing, hint, where=str(device)):
        return _blended(model, image, plan, settings, device)


def _blended(
    model: nn.Module, image: NDArray[np.float32], plan: Plan, settings: InferenceSettings, device: torch.device
) -> NDArray[np.float32]:
    window = np.array(plan.patch_size)
    padded, before = _pad(image, window)
    space = padded.shape[1:]
    weight = gaussian_window(plan.patch_size)
    total = np.zeros(space, dtype=np.float32)
    logits: NDArray[np.float32] | None = None
    for starts in _chunks(window_starts(space, plan.patch_size, settings.overlap), settings.batch_size):
        tiles = np.stack([padded[(slice(None), *_box(s, window))] for s in starts])
        answers = _forward(model, tiles, plan.slice_axis, device)
        if logits is None:
            logits = np.zeros((answers.shape[1], *space), dtype=np.float32)
        for start, answer in zip(starts, answers, strict=True):
            logits[(slice(None), *_box(start, window))] += answer * weight
            total[_box(start, window)] += weight
    if logits is None:
        raise UnreadableScan(Problem("the scan holds no voxel"))
    logits /= total
    return np.ascontiguousarray(logits[(slice(None), *_box(before, np.array(image.shape[1:])))])


def window_starts(space: tuple[int, ...], window: tuple[int, ...], overlap: float) -> list[tuple[int, ...]]:
    """First voxels of the windows: evenly spread, the last one ends at the edge."""
    axes = []
    for length, size in zip(space, window, strict=True):
        step = max(1, round(size * (1 - overlap)))
        count = 1 + max(0, -(-(length - size) // step))
        axes.append([round(i * (length - size) / max(1, count - 1)) for i in range(count)])
    return list(product(*axes))


def gaussian_window(size: tuple[int, ...]) -> NDArray[np.float32]:
    """Weights of a window's voxels, 1 at the centre and never 0."""
    weight = np.ones(size, dtype=np.float64)
    for axis, n in enumerate(size):
        place = (np.arange(n) - (n - 1) / 2) / max(n * SIGMA_SHARE, 1e-6)
        shape = [1, 1, 1]
        shape[axis] = n
        weight = weight * np.exp(-0.5 * place**2).reshape(shape)
    return np.asarray(np.maximum(weight, 1e-4), dtype=np.float32)


@torch.inference_mode()
def _forward(
    model: nn.Module, tiles: NDArray[np.float32], slice_axis: int | None, device: torch.device
) -> NDArray[np.float32]:
    """(B, channels, *window) -> (B, outputs, *window); a 2D network sees slices."""
    images = torch.from_numpy(tiles)
    if slice_axis is not None:
        images = images.squeeze(2 + slice_axis)
    model.eval()
    logits: Tensor = model(images.to(device, memory_format=channels_last(images.ndim - 2)))[0].float()
    if slice_axis is not None:
        logits = logits.unsqueeze(2 + slice_axis)
    answer: NDArray[np.float32] = logits.cpu().numpy()
    return answer


def _pad(image: NDArray[np.float32], window: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    missing = np.maximum(0, window - np.array(image.shape[1:]))
    before = missing // 2
    if not missing.any():
        return image, before
    edges = [(0, 0), *zip(before, missing - before, strict=True)]
    return np.pad(image, edges), before


def _box(start: NDArray[np.int64] | tuple[int, ...], size: NDArray[np.int64]) -> tuple[slice, ...]:
    return tuple(slice(int(s), int(s + n)) for s, n in zip(start, size, strict=True))


def _chunks(items: list[tuple[int, ...]], size: int) -> Iterator[list[tuple[int, ...]]]:
    for i in range(0, len(items), size):
        yield items[i : i + size]
