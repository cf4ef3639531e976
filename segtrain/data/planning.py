"""DatasetFingerprint -> Plan. Pure: the same data, settings and machine class give the same plan.

The rules are nnU-Net's (Isensee et al. 2021, supplementary note 2): median spacing, a patch as large as the
median scan where the device can hold it, halving an axis while that leaves at least four voxels and the axis
is not coarser than twice the finest. Sizes for a CPU are smaller: two cores must learn in minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.plan import ChannelIntensity, Plan, Size3
from segtrain.data.fingerprint import DatasetFingerprint
from segtrain.data.settings import DataSettings

MINIMUM_BOTTLENECK = 4
"""Voxels an axis keeps at the deepest stage."""
ANISOTROPY = 2.0
"""An axis this much coarser than the finest is neither pooled nor convolved across (nnU-Net)."""
STRONG_ANISOTROPY = 3.0
"""From here on, the coarse axis takes the 10th percentile of spacings instead of the median (nnU-Net)."""
CT_MINIMUM = -500.0
"""Values below this are Hounsfield units of air."""
Triple = NDArray[np.float64]


@dataclass(frozen=True)
class DeviceClass:
    """How large a network this kind of machine trains in reasonable time."""

    name: Literal["cpu", "gpu"]
    patch_voxels: dict[int, int]
    first_width: int
    largest_width: int
    stages: int
    convolutions: tuple[int, int]
    """Convolutions of the first stage and of each other one."""


CPU = DeviceClass("cpu", {2: 160 * 160, 3: 96_000}, 8, 128, 4, (1, 2))
GPU = DeviceClass("gpu", {2: 512 * 512, 3: 128**3}, 32, 320, 6, (2, 2))


@dataclass(frozen=True)
class PlanWishes:
    """What the user fixed; None leaves it to the plan."""

    dims: Literal[2, 3] = 3
    widths: tuple[int, ...] | None = None
    convolutions: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    patch_size: Size3 | None = None
    batch_size: int | None = None


def make_plan(data: DatasetFingerprint, settings: DataSettings, wishes: PlanWishes, device: DeviceClass) -> Plan:
    """Decide everything. ConfigError where the user's own sizes do not fit together."""
    spacing = np.array(wishes.spacing_mm or target_spacing(data.spacings_mm))
    slice_axis = int(spacing.argmax()) if wishes.dims == 2 else None
    median_size = np.median(data.sizes_mm, axis=0) / spacing
    stages = len(wishes.widths) if wishes.widths else device.stages
    limit = device.patch_voxels[wishes.dims]
    wanted = np.array(wishes.patch_size or largest_patch(median_size, limit, slice_axis), dtype=float)
    strides, kernels = topology(wanted, spacing, stages, slice_axis, fixed=wishes.widths is not None)
    raise_all(ConfigError, wish_faults(wishes, len(kernels), _size(wanted)))
    widths = wishes.widths or tuple(min(device.first_width * 2**i, device.largest_width) for i in range(len(kernels)))
    factor = np.prod(strides, axis=0, dtype=int) if strides else np.ones(3, dtype=int)
    patch = wanted if wishes.patch_size else np.ceil(wanted / factor) * factor
    first, others = device.convolutions
    try:
        return Plan(
            dims=wishes.dims,
            slice_axis=cast(Literal[0, 1, 2] | None, slice_axis),
            spacing_mm=cast(
                tuple[float, float, float],
                tuple(None if a == slice_axis else round(float(s), 6) for a, s in enumerate(spacing)),
            ),
            patch_size=_size(patch),
            batch_size=wishes.batch_size or (2 if wishes.dims == 3 else 8),
            widths=widths,
            strides=tuple(strides),
            kernels=tuple(kernels),
            convolutions=wishes.convolutions or (first, *[others] * (len(kernels) - 1)),
            intensity=tuple(intensity_rule(data, i, settings.modality) for i in range(len(data.channels))),
        )
    except ValueError as error:
        raise ConfigError(Problem(_first_line(error), where="model")) from error


def wish_faults(wishes: PlanWishes, stages: int, patch: Size3) -> Iterator[Problem]:
    """Lists that are not as long as the network is deep; the patch has room for `stages`."""
    widths, convolutions = wishes.widths, wishes.convolutions
    if widths and len(widths) > stages:
        what = f"model.widths has {len(widths)} numbers, {stages} or fewer are needed"
        why = f"a patch of {'x'.join(map(str, patch))} voxels can be halved for {stages} stages"
        yield Problem(what, "model.widths", why, "leave some out, or set a larger model.patch_size")
        return
    if convolutions and len(convolutions) != stages:
        what = f"model.convolutions has {len(convolutions)} numbers, {stages} are needed"
        why = "each stage of the network needs one" + ("" if widths else ", and the plan chose the stages")
        yield Problem(what, "model.convolutions", why, f"give {stages}, or change model.widths, one for each stage too")


def target_spacing(spacings_mm: Triple) -> tuple[float, float, float]:
    """Median per axis; a strongly anisotropic coarse axis takes a finer spacing that some scans have."""
    median = np.median(spacings_mm, axis=0)
    coarse = int(median.argmax())
    if median[coarse] / median.min() > STRONG_ANISOTROPY:
        others = [a for a in range(3) if a != coarse]
        median[coarse] = max(np.percentile(spacings_mm[:, coarse], 10), median[others].max())
    x, y, z = (float(s) for s in median)
    return x, y, z


def largest_patch(median_size: Triple, limit: int, slice_axis: int | None) -> Size3:
    """The median scan, scaled down in proportion until it holds at most `limit` voxels."""
    size = np.array([1.0 if a == slice_axis else n for a, n in enumerate(median_size)])
    used = np.array([a != slice_axis for a in range(3)])
    while size.prod() > limit:
        excess = (size.prod() / limit) ** (1 / used.sum())
        # An axis that is already short keeps what a bottleneck needs; the others give way.
        shrunk = np.where(used, np.maximum(size / excess, np.minimum(size, 2 * MINIMUM_BOTTLENECK)), size)
        if np.allclose(shrunk, size):
            break
        size = shrunk
    return _size(np.maximum(1, np.round(size)))


def topology(
    patch: Triple, spacing: Triple, stages: int, slice_axis: int | None, *, fixed: bool
) -> tuple[list[Size3], list[Size3]]:
    """Strides between stages and kernels of each, finest first.

    With `fixed`, exactly `stages` stages are made as long as any axis has two voxels left to halve.
    """
    size, step = patch.copy(), spacing.copy()
    used = np.array([a != slice_axis for a in range(3)])
    smallest = 2 if fixed else 2 * MINIMUM_BOTTLENECK
    strides: list[Size3] = []
    kernels: list[Size3] = []
    wide = np.zeros(3, dtype=bool)
    for stage in range(stages):
        # An axis that was convolved across stays so, however far pooling then stretches the others.
        wide |= used & (step < ANISOTROPY * step[used].min())
        kernels.append(_size(np.where(wide, 3, 1)))
        divisible = used & (size >= smallest)
        if stage == stages - 1 or not divisible.any():
            break
        halve = divisible & (step < ANISOTROPY * step[divisible].min())
        factor = np.where(halve, 2, 1)
        strides.append(_size(factor))
        size, step = np.ceil(size / factor), step * factor
    return strides, kernels


def intensity_rule(data: DatasetFingerprint, index: int, modality: Literal["auto", "mr", "ct"]) -> ChannelIntensity:
    """CT keeps its absolute scale (percentiles, mean and deviation of the training foreground); MR has none."""
    minimum = float(np.median([c.minimum[index] for c in data.cases]))
    if modality == "mr" or (modality == "auto" and minimum > CT_MINIMUM):
        return ChannelIntensity(channel=data.channels[index], rule="zscore")
    samples = data.samples(index).astype(np.float64)
    lower, upper = (float(v) for v in np.percentile(samples, [0.5, 99.5]))
    clipped = np.clip(samples, lower, upper)
    return ChannelIntensity(
        channel=data.channels[index],
        rule="ct",
        lower=lower,
        upper=upper,
        mean=float(clipped.mean()),
        std=max(float(clipped.std()), 1e-6),
    )


def _size(values: NDArray[np.float64] | NDArray[np.int64]) -> Size3:
    x, y, z = (int(v) for v in values)
    return x, y, z


def _first_line(error: ValueError) -> str:
    found = getattr(error, "errors", None)
    return str(found()[0]["msg"]).removeprefix("Value error, ") if found else str(error)
