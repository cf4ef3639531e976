"""DatasetFingerprint -> Plan. Pure: the same data, settings and machine class give the same plan.

The rules for spacing, strides and kernels are nnU-Net's (`data.plan.topology`). What a device holds decides how large
patch and network are; sizes for a CPU are smaller: two cores must learn in minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.plan import Plan, Size3
from segtrain.data.plan.fingerprint import DatasetFingerprint
from segtrain.data.plan.intensity_rule import intensity_rule
from segtrain.data.plan.presets import ResidualPreset, feature_values
from segtrain.data.plan.topology import Triple, as_size, largest_patch, target_spacing, topology
from segtrain.data.settings import DataSettings

SMALLEST_PATCH = 512
"""Voxels below which a patch is not made smaller to save memory."""


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


# 3D on a CPU: half of a small scan rather than all of it. In the same time it takes twice as many steps, which are
# worth more (docs/benchmarks.md: a mean Dice of 0.887 against 0.882 on hippocampus scans).
CPU = DeviceClass("cpu", {2: 160 * 160, 3: 44_000}, 8, 128, 4, (1, 2))
GPU = DeviceClass("gpu", {2: 512 * 512, 3: 128**3}, 32, 320, 6, (2, 2))


GPU_BYTES = 8 * 2**30
"""Memory that the sizes above are made for, as nnU-Net's."""


def gpu_class(memory_bytes: int | None) -> DeviceClass:
    """Of a GPU with less memory, smaller patches in proportion; larger ones of more would change what is learnt."""
    share = 1.0 if memory_bytes is None else min(1.0, memory_bytes / GPU_BYTES)
    return replace(GPU, patch_voxels={dims: int(share * limit) for dims, limit in GPU.patch_voxels.items()})


@dataclass(frozen=True)
class PlanWishes:
    """What the user fixed; None leaves it to the plan."""

    dims: Literal[2, 3] = 3
    widths: tuple[int, ...] | None = None
    convolutions: tuple[int, ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    patch_size: Size3 | None = None
    batch_size: int | None = None
    preset: ResidualPreset | None = None
    """Of a residual encoder; None: the plain network."""
    follows: Plan | None = None
    """Plan of the run whose weights are the start: what is not wished is as there."""


@dataclass(frozen=True)
class Shape:
    """Sizes of patch and network that belong together."""

    patch: Size3
    strides: tuple[Size3, ...]
    kernels: tuple[Size3, ...]
    widths: tuple[int, ...]
    convolutions: tuple[int, ...]
    decoder_convolutions: tuple[int, ...] | None = None


def make_plan(data: DatasetFingerprint, settings: DataSettings, wishes: PlanWishes, device: DeviceClass) -> Plan:
    """Decide everything. ConfigError where the user's own sizes do not fit together."""
    if wishes.follows is not None:
        return following_plan(data, settings, wishes, wishes.follows)
    shapes = np.array([case.grid.shape for case in data.cases], dtype=float)
    spacing = np.array(wishes.spacing_mm or target_spacing(data.spacings_mm, shapes))
    slice_axis = _slice_axis(shapes, spacing) if wishes.dims == 2 else None
    scans = data.sizes_mm / spacing
    shape = fitting_shape(np.median(scans, axis=0), spacing, wishes, device, slice_axis)
    try:
        return Plan(
            dims=wishes.dims,
            slice_axis=cast(Literal[0, 1, 2] | None, slice_axis),
            spacing_mm=cast(
                tuple[float, float, float],
                tuple(None if a == slice_axis else round(float(s), 6) for a, s in enumerate(spacing)),
            ),
            patch_size=shape.patch,
            batch_size=wishes.batch_size or batch_size(shape, wishes, device, float(scans.prod(axis=1).sum())),
            widths=shape.widths,
            strides=shape.strides,
            kernels=shape.kernels,
            convolutions=shape.convolutions,
            decoder_convolutions=shape.decoder_convolutions,
            intensity=tuple(intensity_rule(data, i, settings.modality) for i in range(len(data.channels))),
        )
    except ValueError as error:
        raise ConfigError(Problem(first_line(error), where="model")) from error


def _slice_axis(shapes: NDArray[Any], spacing_mm: NDArray[Any]) -> int:
    """The axis across slices: the one along which no scan has two voxels, as pictures, or else the coarsest."""
    flat = (shapes == 1).all(axis=0)
    return int(flat.argmax() if flat.any() else spacing_mm.argmax())


def fitting_shape(
    median_size: Triple, spacing: Triple, wishes: PlanWishes, device: DeviceClass, slice_axis: int | None
) -> Shape:
    """As large as the device allows; a residual encoder on a GPU, as large as its preset's memory allows."""
    preset, limit = wishes.preset, float(device.patch_voxels[wishes.dims])
    if preset is None or wishes.patch_size is not None:
        return shape_within(limit, median_size, spacing, wishes, device, slice_axis)
    if device.name == "cpu":
        return shape_within(preset.cpu_patch_share * limit, median_size, spacing, wishes, device, slice_axis)
    limit = float(median_size.prod()) + 1
    while True:
        shape = shape_within(limit, median_size, spacing, wishes, device, slice_axis)
        excess = values_of(shape) / preset.feature_values[wishes.dims]
        if excess <= 1 or limit < SMALLEST_PATCH:
            return shape
        limit = min(limit, math.prod(shape.patch)) / min(2.0, max(1.05, excess))


def shape_within(
    limit: float, median_size: Triple, spacing: Triple, wishes: PlanWishes, device: DeviceClass, slice_axis: int | None
) -> Shape:
    """The network for a patch of the median scan's proportions with at most `limit` voxels, or for the wished one."""
    stages = len(wishes.widths) if wishes.widths else device.stages
    wanted = np.array(wishes.patch_size or largest_patch(median_size, limit, slice_axis), dtype=float)
    strides, kernels = topology(wanted, spacing, stages, slice_axis, fixed=wishes.widths is not None)
    raise_all(ConfigError, wish_faults(wishes, len(kernels), as_size(wanted)))
    factor = np.prod(strides, axis=0, dtype=int) if strides else np.ones(3, dtype=int)
    patch = wanted if wishes.patch_size else np.ceil(wanted / factor) * factor
    stages, preset = len(kernels), wishes.preset
    (first, others), width = device.convolutions, device.first_width
    convolutions: tuple[int, ...] = (first, *[others] * (stages - 1))
    if preset is not None:
        convolutions = preset.blocks_of(stages)
        width = preset.cpu_first_width if device.name == "cpu" else width
    return Shape(
        patch=as_size(patch),
        strides=tuple(strides),
        kernels=tuple(kernels),
        widths=wishes.widths or tuple(min(width * 2**i, device.largest_width) for i in range(stages)),
        convolutions=wishes.convolutions or convolutions,
        decoder_convolutions=None if preset is None else (1,) * (stages - 1),
    )


def batch_size(shape: Shape, wishes: PlanWishes, device: DeviceClass, scan_voxels: float) -> int:
    """Patches a step; `scan_voxels` are those of all training scans."""
    if wishes.preset is None or device.name == "cpu":
        return 2 if wishes.dims == 3 else 8
    return wishes.preset.batch_size(values_of(shape), wishes.dims, scan_voxels / math.prod(shape.patch))


def values_of(shape: Shape) -> int:
    """Values in all feature maps of a residual encoder's patch."""
    return feature_values(shape.widths, shape.convolutions, shape.strides, shape.patch)


def following_plan(data: DatasetFingerprint, settings: DataSettings, wishes: PlanWishes, old: Plan) -> Plan:
    """The plan of the run whose weights are the start, for other data and with what is wished instead.

    As where nnU-Net moves plans from one data set to another, all is kept: weights have learnt a network, but a voxel
    size and a scale of intensities too. Only channels that were not there get a rule of their own.
    ConfigError where a wish is another network.
    """
    raise_all(ConfigError, following_faults(wishes, old))
    known = {rule.channel: rule for rule in old.intensity if settings.modality == "auto"}
    rules = [known.get(name) or intensity_rule(data, i, settings.modality) for i, name in enumerate(data.channels)]
    changes = {
        "patch_size": wishes.patch_size or old.patch_size,
        "batch_size": wishes.batch_size or old.batch_size,
        "intensity": tuple(rules),
    }
    if wishes.spacing_mm is not None:
        changes["spacing_mm"] = tuple(None if a == old.slice_axis else s for a, s in enumerate(wishes.spacing_mm))
    try:
        return Plan(**{**dict(old), **changes})
    except ValueError as error:
        raise ConfigError(Problem(first_line(error), where="model")) from error


def following_faults(wishes: PlanWishes, old: Plan) -> Iterator[Problem]:
    """Wishes that weights of the old plan's network do not fit."""
    for name in ("dims", "widths", "convolutions"):
        wished, there = getattr(wishes, name), getattr(old, name)
        if wished is not None and wished != there:
            what = f"model.{name} is {wished}, the network of model.init_from has {there}"
            hint = f"leave model.{name} out: it follows; or leave model.init_from out and start anew"
            yield Problem(what, f"model.{name}", "its weights would not fit", hint)


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


def first_line(error: ValueError) -> str:
    """What a plan was refused for, in one line."""
    found = getattr(error, "errors", None)
    return str(found()[0]["msg"]).removeprefix("Value error, ") if found else str(error)
