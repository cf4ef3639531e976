"""What stands between a scan and a mask, beside the network: as plain values, for `model.json` of an exported network.

`docs/exporting.md` says what each key means, and has the program that follows them.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.core.resample import SNAP_VOXELS
from segtrain.core.task import Activation, Task
from segtrain.data.prepare import LEAST_DEVIATION
from segtrain.inference.settings import InferenceSettings
from segtrain.inference.sliding_window import LEAST_WEIGHT, SIGMA_SHARE
from segtrain.recipes.export_network import INPUT, OUTPUT, input_size

AXES = ("R", "A", "S")
VERSIONS = ("segtrain", "torch", "onnx", "onnxscript", "numpy")


def network_rules(plan: Plan, outputs: tuple[str, ...]) -> dict[str, Any]:
    """The network's input and output; null is any number."""
    axes = ["batch", "channel", *(name for axis, name in enumerate(AXES) if axis != plan.slice_axis)]
    size = input_size(plan)
    return {
        "input": {
            "name": INPUT,
            "type": "float32",
            "axes": axes,
            "shape": [None, len(plan.channels), *size],
            "channels": list(plan.channels),
        },
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "axes": axes,
            "shape": [None, len(outputs), *size],
            "channels": list(outputs),
        },
    }


def scan_rules(plan: Plan) -> dict[str, Any]:
    """From a file to what windows are cut from: in this order."""
    return {
        "channels": list(plan.channels),
        "orientation": "".join(AXES) + "+",
        "spacing_mm": list(plan.spacing_mm),
        "resampling": {
            "kind": "linear",
            "coarser": "triangle as wide as a step",
            "edge": "repeated",
            "snap_voxels": SNAP_VOXELS,
        },
        "intensity": [_intensity(channel) for channel in plan.intensity],
    }


def window_rules(plan: Plan, settings: InferenceSettings) -> dict[str, Any]:
    """How windows are laid over a scan, and their logits brought together."""
    return {
        "size": list(plan.patch_size),
        "slice_axis": plan.slice_axis,
        "overlap": settings.overlap,
        "padding": 0,
        "weights": {"kind": "gaussian", "sigma_share": SIGMA_SHARE, "least": LEAST_WEIGHT},
        "mirror_axes": list(settings.mirror_axes),
    }


def answer_rules(task: Task, activation: Activation) -> dict[str, Any]:
    """From logits on the grid of the scan to label ids."""
    draw, classes = _drawing(task, activation)
    return {
        "activation": activation,
        "draw": draw,
        "ids": [task.ids[index] for index in classes],
        "labels": dict(task.labels),
        "regions": None if task.regions is None else {name: list(own) for name, own in task.regions.items()},
        "codes": {label: codes.model_dump(mode="json") for label, codes in task.codes.items()},
    }


def versions() -> dict[str, str]:
    """Of the packages that had a part in it and are there."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _drawing(task: Task, activation: Activation) -> tuple[str, list[int]]:
    """How a mask is made of logits, and the class that each channel draws."""
    if task.regions is not None:
        return "over", list(task.drawn)
    if activation == "softmax":
        return "strongest", list(range(len(task.names)))
    return "strongest_above_zero", list(task.drawn)


def _intensity(channel: ChannelIntensity) -> dict[str, Any]:
    """All numbers that `prepare.normalise` uses of a rule, and no others."""
    if channel.rule == "ct" and channel.lower is not None and channel.upper is not None:
        scale = {"mean": channel.mean or 0.0, "std": channel.std or 1.0}
        return {"channel": channel.channel, "rule": "ct", "clip": [channel.lower, channel.upper], **scale}
    clip = {"clip_percentiles": list(channel.clip_percentiles), "least_deviation": LEAST_DEVIATION}
    return {"channel": channel.channel, "rule": "zscore", **clip}
