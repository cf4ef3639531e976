"""Case + Plan -> PreparedCase: canonical axes, target spacing, normalised intensities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segtrain.core.grid import Grid
from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.core.resample import resample_labels, resample_volume
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume

LEAST_DEVIATION = 1e-6
"""A constant image becomes 0, and not a division by 0."""


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A scan as the network sees it, and the grid it came from."""

    case: str
    image: NDArray[np.float32]
    """(channels, X, Y, Z) on `grid`."""
    classes: NDArray[np.uint8] | None
    """(X, Y, Z) class indices, or None where no label is known."""
    grid: Grid
    native: Grid


def work_grid(native: Grid, plan: Plan) -> Grid:
    """The grid on which the network works for a scan that lies on `native`."""
    canonical = native.canonical()
    wanted = [
        own if target is None else target for own, target in zip(canonical.spacing_mm, plan.spacing_mm, strict=True)
    ]
    return canonical.respaced(wanted)


def prepare(case: str, image: Volume, labels: LabelMap | None, plan: Plan, task: Task) -> PreparedCase:
    """Bring one case onto the plan's grid and scale."""
    onto = work_grid(image.grid, plan)
    moved = resample_volume(image, onto)
    for channel, rule in zip(moved.array, plan.intensity, strict=True):  # in place, so that few copies are held
        channel[...] = normalise(channel, rule)
    classes = None
    if labels is not None:
        as_classes = LabelMap(task.to_classes(labels.array), labels.grid)
        classes = resample_labels(as_classes, onto).array.astype(np.uint8, copy=False)
    return PreparedCase(case, moved.array, classes, onto, image.grid)


def normalise(channel: NDArray[np.float32], rule: ChannelIntensity) -> NDArray[np.float32]:
    """Clip, then subtract the mean and divide by the deviation, as the rule says; a constant image becomes 0."""
    if rule.rule == "ct" and rule.lower is not None and rule.upper is not None:
        clipped = np.clip(channel, rule.lower, rule.upper)
        return _scaled(clipped, rule.mean or 0.0, rule.std or 1.0)
    low, high = np.percentile(channel, rule.clip_percentiles)
    clipped = np.clip(channel, low, high)
    mean, std = clipped.mean(dtype=np.float64), clipped.std(dtype=np.float64)
    return _scaled(clipped, mean, max(std, LEAST_DEVIATION))


def _scaled(values: NDArray[np.float32], mean: float, deviation: float) -> NDArray[np.float32]:
    """In place, where they are float32."""
    values -= np.float32(mean)
    values /= np.float32(deviation)
    return values.astype(np.float32, copy=False)
