"""The judge: every logit of every network held at once, resampled onto the scan, averaged. Small scans only."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from segtrain.core.resample import axis_maps, resample_array
from segtrain.data.prepare import prepare
from segtrain.inference.blocks import undivided
from segtrain.inference.sliding_window import gaussian_window, window_starts


class Convolved(nn.Module):
    """Logits that look like noise: everything that goes wrong is seen. A window alone decides its answer."""

    def __init__(self, outputs: int, seed: int = 0, dims: int = 3) -> None:
        super().__init__()
        self.weight = torch.randn(outputs, 3, generator=torch.Generator().manual_seed(seed))
        self.dims = dims

    def forward(self, images):
        moved = torch.stack([images[:, 0], images[:, 0].roll(1, 1), images[:, 0].roll(1, -1).abs()], 1)
        terms = (self.weight[:, k].view(1, -1, *[1] * self.dims) * moved[:, k : k + 1] for k in range(3))
        return (sum(terms),)


def all_logits(members, image):
    """Logits (outputs, *scan): the mean over the networks, on the scan's own grid."""
    ready = [prepare("a", image, None, member.plan, member.task) for member in members]
    along = all_at_once(members, image).along
    found = [_on_scan(member, one, along) for member, one in zip(members, ready, strict=True)]
    return found[0] if len(found) == 1 else sum(found[1:], start=found[0]) / np.float32(len(found))


def all_at_once(members, image):
    """The scan as one block."""
    ready = [prepare("a", image, None, member.plan, member.task) for member in members]
    readers = [m.reader(one.image, one.grid, one.native) for m, one in zip(members, ready, strict=True)]
    return undivided([reader.extent for reader in readers])


def _on_scan(member, ready, along):
    logits = blended(member, ready.image, axis_maps(ready.grid, ready.native)[along].axis)
    return np.stack([resample_array(output, ready.grid, ready.native) for output in logits])


def blended(member, image, along=0):
    """Logits (outputs, X, Y, Z) of a prepared scan: window after window onto one array."""
    window, flat = member.plan.patch_size, member.plan.slice_axis
    missing = [max(0, w - n) for w, n in zip(window, image.shape[1:], strict=True)]
    before = [m // 2 for m in missing]
    padded = np.pad(image, [(0, 0), *((b, m - b) for b, m in zip(before, missing, strict=True))])
    weight, total, weights = gaussian_window(window), None, np.zeros(padded.shape[1:], np.float32)
    for start in window_starts(padded.shape[1:], window, member.settings.overlap, along=along):
        box = tuple(slice(s, s + w) for s, w in zip(start, window, strict=True))
        images = torch.from_numpy(padded[(slice(None), *box)][None].copy())
        images = images if flat is None else images.squeeze(2 + flat)
        answer = member.model(images)[0]
        answer = (answer if flat is None else answer.unsqueeze(2 + flat))[0].numpy()
        total = np.zeros((len(answer), *padded.shape[1:]), np.float32) if total is None else total
        torch.from_numpy(total)[(slice(None), *box)].addcmul_(torch.from_numpy(answer), torch.from_numpy(weight))
        weights[box] += weight
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True))
    return (total / weights)[(slice(None), *inside)]
